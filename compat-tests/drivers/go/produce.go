package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const unanswered = 2000

type produceRequest struct {
	Records []record
	Options struct {
		Compression     *string
		Idempotent      bool
		BatchRecords    *int   `json:"batch_records"`
		BatchBytes      *int32 `json:"batch_bytes"`
		MaxRequestBytes *int32 `json:"max_request_bytes"`
	}
}

var codecs = map[string]kgo.CompressionCodec{
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

func (d *driver) produce(line []byte) (any, error) {
	var request produceRequest
	if err := json.Unmarshal(line, &request); err != nil {
		return nil, err
	}
	client, err := d.client(produceOptions(&request)...)
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
			if err == nil {
				deliveries[number] = map[string]any{"partition": sent.Partition, "offset": sent.Offset}
				return
			}
			refused := describe(err)
			if refused["code"] == nil {
				refused["code"] = -1
			}
			deliveries[number] = refused
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
	for _, header := range one.Headers {
		var value []byte
		if header[1] != nil {
			var err error
			if value, err = base64.StdEncoding.DecodeString(*header[1]); err != nil {
				return nil, err
			}
		}
		out.Headers = append(out.Headers, kgo.RecordHeader{Key: *header[0], Value: value})
	}
	return out, nil
}

// load is an idempotent producer in the background.
type load struct {
	client       *kgo.Client
	stopped      atomic.Bool
	waiting      atomic.Int64
	done         chan struct{}
	lock         sync.Mutex
	acknowledged [][3]int64
	failed       []string
}

func (d *driver) loadStart(line []byte) (any, error) {
	var request struct {
		Topic      string
		Partitions int32
	}
	if err := json.Unmarshal(line, &request); err != nil {
		return nil, err
	}
	client, err := d.client(
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordDeliveryTimeout(2*time.Minute),
		kgo.ProducerLinger(2*time.Millisecond),
		kgo.RecordPartitioner(kgo.BasicConsistentPartitioner(partitioner)),
	)
	if err != nil {
		return nil, err
	}
	d.load = &load{client: client, done: make(chan struct{}), acknowledged: [][3]int64{}, failed: []string{}}
	go d.load.run(request.Topic, request.Partitions)
	return map[string]any{}, nil
}

func (l *load) run(topic string, partitions int32) {
	defer close(l.done)
	for number := int64(0); !l.stopped.Load(); time.Sleep(time.Millisecond) {
		if l.waiting.Load() >= unanswered {
			continue
		}
		for partition := range partitions {
			l.send(topic, partition, number)
		}
		number++
	}
	if err := l.client.Flush(context.Background()); err != nil {
		panic(err)
	}
	l.client.Close()
}

func (l *load) send(topic string, partition int32, number int64) {
	out := &kgo.Record{Topic: topic, Partition: partition, Value: strconv.AppendInt(nil, number, 10)}
	l.waiting.Add(1)
	l.client.Produce(context.Background(), out, func(sent *kgo.Record, err error) {
		l.lock.Lock()
		defer l.lock.Unlock()
		if err == nil {
			l.acknowledged = append(l.acknowledged, [3]int64{int64(partition), number, sent.Offset})
		} else {
			l.failed = append(l.failed, fmt.Sprintf("%d/%d: %v", partition, number, err))
		}
		l.waiting.Add(-1)
	})
}

func (d *driver) loadStatus([]byte) (any, error) {
	d.load.lock.Lock()
	defer d.load.lock.Unlock()
	return len(d.load.acknowledged), nil
}

func (d *driver) loadStop([]byte) (any, error) {
	d.load.stopped.Store(true)
	<-d.load.done
	return map[string]any{"acknowledged": d.load.acknowledged, "failed": d.load.failed}, nil
}
