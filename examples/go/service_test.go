package orders

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"onelog"
)

func start(t *testing.T) (*onelog.Broker, *kgo.Client) {
	broker := onelog.Start(t, onelog.Topics("orders:3", "invoices", "orders.rejected"), onelog.TestMode())
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.BootstrapServers()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return broker, client
}

func place(t *testing.T, client *kgo.Client, orders ...string) {
	t.Helper()
	for _, order := range orders {
		record := &kgo.Record{Topic: "orders", Key: []byte(order), Value: []byte(order)}
		if err := client.ProduceSync(t.Context(), record).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func run(t *testing.T, broker *onelog.Broker, orders int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	service, err := NewService(broker.BootstrapServers())
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	for orders > 0 {
		handled, err := service.HandleSome(ctx)
		if err != nil {
			t.Fatal(err)
		}
		orders -= handled
	}
}

// first reads the first count values of a topic.
func first(t *testing.T, broker *onelog.Broker, topic string, count int) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.BootstrapServers()), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var values []string
	for len(values) < count {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(record *kgo.Record) { values = append(values, string(record.Value)) })
	}
	return values
}

func invoices(t *testing.T, broker *onelog.Broker, count int) map[string]int64 {
	t.Helper()
	found := map[string]int64{}
	for _, value := range first(t, broker, "invoices", count) {
		var invoice Invoice
		if err := json.Unmarshal([]byte(value), &invoice); err != nil {
			t.Fatal(err)
		}
		if _, twice := found[invoice.Order]; twice {
			t.Fatalf("order %s has two invoices", invoice.Order)
		}
		found[invoice.Order] = invoice.Cents
	}
	return found
}

func same[T any](t *testing.T, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %v, wanted %v", got, want)
	}
}

func TestEachOrderGetsOneInvoice(t *testing.T) {
	broker, client := start(t)
	place(t, client, `{"id":"a","lines":[{"cents":250,"quantity":2},{"cents":100,"quantity":1}]}`,
		`{"id":"b","lines":[{"cents":999,"quantity":1}]}`)
	run(t, broker, 2)
	same(t, invoices(t, broker, 2), map[string]int64{"a": 600, "b": 999})
}

func TestWhatIsNoOrderIsRejectedAndHoldsNothingUp(t *testing.T) {
	broker, client := start(t)
	place(t, client, "no json", `{"id":"c","lines":[{"cents":5,"quantity":5}]}`)
	run(t, broker, 2)
	same(t, first(t, broker, "orders.rejected", 1), []string{"no json"})
	same(t, invoices(t, broker, 1), map[string]int64{"c": 25})
}

func TestServiceThatComesBackGoesOnWhereItWas(t *testing.T) {
	broker, client := start(t)
	place(t, client, `{"id":"first","lines":[{"cents":1,"quantity":1}]}`)
	run(t, broker, 1)
	place(t, client, `{"id":"second","lines":[{"cents":2,"quantity":1}]}`)
	run(t, broker, 1)
	same(t, invoices(t, broker, 2), map[string]int64{"first": 1, "second": 2})
}

func TestInvoiceWhoseAcknowledgementIsLostIsWrittenOnce(t *testing.T) {
	broker, client := start(t)
	lost := map[string]any{"keys": []string{"Produce"}, "topic": "invoices", "disconnect": true, "after_apply": true, "count": 1}
	var fault struct{ ID, Hits int }
	if err := broker.Control("POST", "/test/faults", lost, &fault); err != nil {
		t.Fatal(err)
	}
	place(t, client, `{"id":"a","lines":[{"cents":7,"quantity":1}]}`, `{"id":"b","lines":[{"cents":8,"quantity":1}]}`)
	run(t, broker, 2)
	if err := broker.Control("GET", fmt.Sprintf("/test/faults/%d", fault.ID), nil, &fault); err != nil || fault.Hits != 1 {
		t.Fatalf("the fault was met %d times: %v", fault.Hits, err)
	}
	same(t, invoices(t, broker, 2), map[string]int64{"a": 7, "b": 8})
}
