package main

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func (d *franzGo) consume(request *consumeRequest) (any, error) {
	client, err := d.assigned(request.place, kgo.NewOffset().At(request.Offset))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	limit, cancel := context.WithTimeout(context.Background(), time.Duration(request.TimeoutMs)*time.Millisecond)
	defer cancel()
	records := []map[string]any{}
	for len(records) < request.Count && limit.Err() == nil {
		some, err := poll(limit, client)
		if err != nil {
			return nil, err
		}
		records = append(records, some...)
	}
	return records[:min(request.Count, len(records))], nil
}

func (d *franzGo) assigned(at place, offset kgo.Offset, options ...kgo.Opt) (*kgo.Client, error) {
	start := map[string]map[int32]kgo.Offset{at.Topic: {at.Partition: offset}}
	return d.client(append(options, kgo.ConsumePartitions(start), kgo.ConsumeResetOffset(kgo.NoResetOffset()))...)
}

func poll(limit context.Context, client *kgo.Client) ([]map[string]any, error) {
	fetches := client.PollFetches(limit)
	for _, failed := range fetches.Errors() {
		if !errors.Is(failed.Err, context.DeadlineExceeded) {
			return nil, fmt.Errorf("%s-%d: %w", failed.Topic, failed.Partition, failed.Err)
		}
	}
	var records []map[string]any
	for _, one := range fetches.Records() {
		var headers []header
		for _, each := range one.Headers {
			headers = append(headers, header{each.Key, each.Value})
		}
		records = append(records, received(one.Partition, one.Offset, one.Timestamp, one.Key, one.Value, headers))
	}
	return records, nil
}

func (d *franzGo) offsetForTime(request *timeRequest) (any, error) {
	return d.with(func(limit context.Context, admin *kadm.Client) (any, error) {
		found, err := admin.ListOffsetsAfterMilli(limit, request.Timestamp, request.Topic)
		if err != nil {
			return nil, err
		}
		offset, known := found.Lookup(request.Topic, request.Partition)
		if !known || offset.Err != nil {
			return nil, fmt.Errorf("no answer for the partition: %w", offset.Err)
		}
		// Without a match kadm answers with the end and no timestamp.
		if offset.Timestamp < 0 {
			return nil, nil
		}
		return offset.Offset, nil
	})
}

func (d *franzGo) watermarks(at *place) (any, error) {
	return d.with(func(limit context.Context, admin *kadm.Client) (any, error) {
		marks := []int64{}
		for _, list := range []func(context.Context, ...string) (kadm.ListedOffsets, error){
			admin.ListStartOffsets, admin.ListEndOffsets,
		} {
			found, err := list(limit, at.Topic)
			if err != nil {
				return nil, err
			}
			offset, known := found.Lookup(at.Topic, at.Partition)
			if !known || offset.Err != nil {
				return nil, fmt.Errorf("no answer for the partition: %w", offset.Err)
			}
			marks = append(marks, offset.Offset)
		}
		return marks, nil
	})
}

func (d *franzGo) longPoll(request *longPollRequest) (any, error) {
	wait := time.Duration(request.MaxWaitMs) * time.Millisecond
	consumer, err := d.assigned(request.place, kgo.NewOffset().AtEnd(), kgo.FetchMaxWait(wait), kgo.FetchMinBytes(1))
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	receipts := make(chan time.Time, 1)
	limit, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		for limit.Err() == nil {
			if consumer.PollFetches(limit).NumRecords() > 0 {
				receipts <- time.Now()
			}
		}
	}()
	producer, err := d.client(kgo.ProducerLinger(0), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	// The end is looked up in the background.
	time.Sleep(1500 * time.Millisecond)
	latencies := []float64{}
	for range request.Rounds {
		time.Sleep(150 * time.Millisecond)
		ping := &kgo.Record{Topic: request.Topic, Partition: request.Partition, Value: []byte("ping")}
		if err := producer.ProduceSync(context.Background(), ping).FirstErr(); err != nil {
			return nil, err
		}
		acknowledged := time.Now()
		select {
		case received := <-receipts:
			latencies = append(latencies, max(0, received.Sub(acknowledged).Seconds()*1000))
		case <-time.After(callLimit):
			return nil, errors.New("a record was acknowledged and not received")
		}
	}
	return latencies, nil
}

// member is the one group member of this process.
type member struct {
	client *kgo.Client
	topic  string
	lock   sync.Mutex
	held   map[int32]bool
}

func (d *franzGo) groupJoin(request *joinRequest) (any, error) {
	joined := &member{topic: request.Topic, held: map[int32]bool{}}
	lost := func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) { joined.set(partitions, false) }
	client, err := d.client(
		kgo.ConsumerGroup(request.Group),
		kgo.ConsumeTopics(request.Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(time.Duration(request.SessionTimeoutMs)*time.Millisecond),
		kgo.HeartbeatInterval(500*time.Millisecond),
		kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			joined.set(partitions, true)
		}),
		kgo.OnPartitionsRevoked(lost),
		kgo.OnPartitionsLost(lost),
	)
	if err != nil {
		return nil, err
	}
	joined.client = client
	d.member = joined
	return map[string]any{}, nil
}

func (m *member) set(partitions map[string][]int32, held bool) {
	m.lock.Lock()
	defer m.lock.Unlock()
	for _, partition := range partitions[m.topic] {
		if held {
			m.held[partition] = true
		} else {
			delete(m.held, partition)
		}
	}
}

func (d *franzGo) groupPoll(request *pollRequest) (any, error) {
	limit, cancel := context.WithTimeout(context.Background(), time.Duration(request.TimeoutMs)*time.Millisecond)
	defer cancel()
	records := []map[string]any{}
	for limit.Err() == nil {
		some, err := poll(limit, d.member.client)
		if err != nil {
			return nil, err
		}
		records = append(records, some...)
	}
	d.member.lock.Lock()
	defer d.member.lock.Unlock()
	assignment := []int32{}
	for partition := range d.member.held {
		assignment = append(assignment, partition)
	}
	sort.Slice(assignment, func(i, j int) bool { return assignment[i] < assignment[j] })
	return map[string]any{"assignment": assignment, "records": records}, nil
}

func (d *franzGo) groupCommit([]byte) (any, error) {
	return map[string]any{}, d.member.client.CommitUncommittedOffsets(context.Background())
}

func (d *franzGo) groupLeave([]byte) (any, error) {
	d.member.client.Close()
	d.member = nil
	return map[string]any{}, nil
}
