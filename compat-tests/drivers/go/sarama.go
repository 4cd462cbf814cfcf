package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// saramaClient is what lives from one verb to the next.
type saramaClient struct {
	address string
	member  *saramaMember
	load    *load
}

func (d *saramaClient) hello([]byte) (any, error) {
	return version("sarama", "github.com/IBM/sarama"), nil
}

func (d *saramaClient) code(err error) any {
	var kafka sarama.KError
	if errors.As(err, &kafka) {
		return int16(kafka)
	}
	return nil
}

func (d *saramaClient) config() *sarama.Config {
	config := sarama.NewConfig()
	config.ClientID = "sarama-driver"
	config.Version = sarama.MaxVersion
	config.Metadata.Timeout = callLimit
	return config
}

// client is closed by the caller.
func (d *saramaClient) client(config *sarama.Config) (sarama.Client, error) {
	client, err := sarama.NewClient([]string{d.address}, config)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	return client, nil
}

func milliseconds(number int64) time.Duration {
	return time.Duration(number) * time.Millisecond
}
