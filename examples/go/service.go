// Package orders is an order service: it reads orders, writes an invoice for each to invoices, and puts what is no order into
// orders.rejected.
package orders

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Invoice is what an order costs.
type Invoice struct {
	Order string `json:"order"`
	Cents int64  `json:"cents"`
}

type order struct {
	ID    string `json:"id"`
	Lines []struct {
		Cents    int64 `json:"cents"`
		Quantity int64 `json:"quantity"`
	} `json:"lines"`
}

func invoiceFor(value []byte) (Invoice, error) {
	var order order
	if err := json.Unmarshal(value, &order); err != nil {
		return Invoice{}, err
	}
	invoice := Invoice{Order: order.ID}
	for _, line := range order.Lines {
		invoice.Cents += line.Cents * line.Quantity
	}
	if order.ID == "" || invoice.Cents <= 0 {
		return Invoice{}, errors.New("no order")
	}
	return invoice, nil
}

// Service reads as the group order-service. An order is committed once its invoice is acknowledged: after a crash it may be invoiced
// again, but never lost.
type Service struct {
	client *kgo.Client
}

// NewService joins the group.
func NewService(bootstrapServers string) (*Service, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrapServers),
		kgo.ConsumerGroup("order-service"),
		kgo.ConsumeTopics("orders"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
	)
	return &Service{client}, err
}

// HandleSome waits for orders, handles them and says how many there were.
func (s *Service) HandleSome(ctx context.Context) (int, error) {
	fetches := s.client.PollFetches(ctx)
	if err := fetches.Err(); err != nil {
		return 0, err
	}
	records := fetches.Records()
	answers := make([]*kgo.Record, 0, len(records))
	for _, record := range records {
		answer := &kgo.Record{Topic: "orders.rejected", Key: record.Key, Value: record.Value}
		if invoice, err := invoiceFor(record.Value); err == nil {
			value, err := json.Marshal(invoice)
			if err != nil {
				return 0, err
			}
			answer = &kgo.Record{Topic: "invoices", Key: record.Key, Value: value}
		}
		answers = append(answers, answer)
	}
	if err := s.client.ProduceSync(ctx, answers...).FirstErr(); err != nil {
		return 0, err
	}
	return len(records), s.client.CommitRecords(ctx, records...)
}

// Close leaves the group.
func (s *Service) Close() { s.client.Close() }
