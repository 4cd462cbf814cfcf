package main

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var codecs = map[string]kgo.CompressionCodec{
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

func (d *franzGo) produce(request *produceRequest) (any, error) {
	client, err := d.client(produceOptions(request)...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	deliveries := make([]map[string]any, len(request.Records))
	var waiting sync.WaitGroup
	for number, one := range request.Records {
		out, err := outgoing(one)
		if err != nil {
			return nil, err
		}
		waiting.Add(1)
		client.Produce(context.Background(), out, func(sent *kgo.Record, err error) {
			defer waiting.Done()
			deliveries[number] = delivery(sent.Partition, sent.Offset, err, d.code(err))
		})
	}
	waiting.Wait()
	return deliveries, nil
}

func produceOptions(request *produceRequest) []kgo.Opt {
	options := []kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(20 * time.Millisecond),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.AllowAutoTopicCreation(),
		kgo.RecordPartitioner(kgo.BasicConsistentPartitioner(partitioner)),
	}
	wanted := request.Options
	if wanted.Idempotent {
		// Idempotent means five in flight: franz-go takes no other number.
		options = append(options, kgo.ProducerLinger(0))
	} else {
		options = append(options, kgo.DisableIdempotentWrite())
	}
	if wanted.Compression != nil {
		options = append(options, kgo.ProducerBatchCompression(codecs[*wanted.Compression]))
	}
	if wanted.BatchBytes != nil {
		options = append(options, kgo.ProducerBatchMaxBytes(*wanted.BatchBytes))
	}
	if wanted.MaxRequestBytes != nil {
		options = append(options, kgo.ProducerBatchMaxBytes(*wanted.MaxRequestBytes))
	}
	return options
}

// partitioner takes the partition that the record asks for; minus one means any.
func partitioner(string) func(*kgo.Record, int) int {
	return func(one *kgo.Record, _ int) int { return int(max(one.Partition, 0)) }
}

func outgoing(one record) (*kgo.Record, error) {
	out := &kgo.Record{Topic: one.Topic, Key: one.Key, Value: one.Value, Partition: -1}
	if one.Partition != nil {
		out.Partition = *one.Partition
	}
	if one.Timestamp != nil {
		out.Timestamp = time.UnixMilli(*one.Timestamp)
	}
	headers, err := one.headers()
	for _, header := range headers {
		out.Headers = append(out.Headers, kgo.RecordHeader{Key: header.name, Value: header.value})
	}
	return out, err
}

func (d *franzGo) loadStart(request *loadRequest) (any, error) {
	client, err := d.client(
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordDeliveryTimeout(2*time.Minute),
		kgo.ProducerLinger(2*time.Millisecond),
		kgo.RecordPartitioner(kgo.BasicConsistentPartitioner(partitioner)),
	)
	if err != nil {
		return nil, err
	}
	started := newLoad()
	send := func(partition int32, number int64) {
		out := &kgo.Record{Topic: request.Topic, Partition: partition, Value: strconv.AppendInt(nil, number, 10)}
		client.Produce(context.Background(), out, func(sent *kgo.Record, err error) {
			started.answered(partition, number, sent.Offset, err)
		})
	}
	finish := func() {
		if err := client.Flush(context.Background()); err != nil {
			panic(err)
		}
		client.Close()
	}
	d.load = started
	go started.run(request.Partitions, send, finish)
	return map[string]any{}, nil
}

func (d *franzGo) loadStatus([]byte) (any, error) {
	return d.load.status(), nil
}

func (d *franzGo) loadStop([]byte) (any, error) {
	return d.load.stop(), nil
}
