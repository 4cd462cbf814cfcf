package main

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// franzGo is what lives from one verb to the next.
type franzGo struct {
	address string
	member  *member
	load    *load
}

func (d *franzGo) hello([]byte) (any, error) {
	return version("franz-go", "github.com/twmb/franz-go"), nil
}

func (d *franzGo) code(err error) any {
	var kafka *kerr.Error
	if errors.As(err, &kafka) {
		return kafka.Code
	}
	return nil
}

func (d *franzGo) client(options ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(d.address)}, options...)...)
}
