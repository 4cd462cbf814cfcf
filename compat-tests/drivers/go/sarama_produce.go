package main

import (
	"strconv"
	"time"

	"github.com/IBM/sarama"
)

var saramaCodecs = map[string]sarama.CompressionCodec{
	"gzip":   sarama.CompressionGZIP,
	"snappy": sarama.CompressionSnappy,
	"lz4":    sarama.CompressionLZ4,
	"zstd":   sarama.CompressionZSTD,
}

func (d *saramaClient) produce(request *produceRequest) (any, error) {
	producer, err := sarama.NewAsyncProducer([]string{d.address}, d.producing(request))
	if err != nil {
		return nil, err
	}
	deliveries := make([]map[string]any, len(request.Records))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range request.Records {
			select {
			case sent := <-producer.Successes():
				deliveries[sent.Metadata.(int)] = delivery(sent.Partition, sent.Offset, nil, nil)
			case failed := <-producer.Errors():
				deliveries[failed.Msg.Metadata.(int)] = delivery(0, 0, failed.Err, d.code(failed.Err))
			}
		}
	}()
	for number, one := range request.Records {
		message, err := saramaMessage(&one)
		if err != nil {
			return nil, err
		}
		message.Metadata = number
		producer.Input() <- message
	}
	<-done
	return deliveries, producer.Close()
}

func (d *saramaClient) producing(request *produceRequest) *sarama.Config {
	config := d.acknowledging()
	config.Producer.Flush.Frequency = 20 * time.Millisecond
	wanted := request.Options
	if wanted.Idempotent {
		idempotent(config)
	}
	if wanted.Compression != nil {
		config.Producer.Compression = saramaCodecs[*wanted.Compression]
	}
	if wanted.BatchRecords != nil {
		config.Producer.Flush.MaxMessages = *wanted.BatchRecords
	}
	if wanted.BatchBytes != nil {
		config.Producer.MaxMessageBytes = int(*wanted.BatchBytes)
	}
	if wanted.MaxRequestBytes != nil {
		config.Producer.MaxMessageBytes = int(*wanted.MaxRequestBytes)
	}
	return config
}

func (d *saramaClient) acknowledging() *sarama.Config {
	config := d.config()
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Return.Successes = true
	config.Producer.Return.Errors = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	return config
}

// idempotent has one request in flight: sarama takes no other number then.
func idempotent(config *sarama.Config) {
	config.Producer.Idempotent = true
	config.Net.MaxOpenRequests = 1
}

func saramaMessage(one *record) (*sarama.ProducerMessage, error) {
	message := &sarama.ProducerMessage{Topic: one.Topic}
	if one.Key != nil {
		message.Key = sarama.ByteEncoder(one.Key)
	}
	if one.Value != nil {
		message.Value = sarama.ByteEncoder(one.Value)
	}
	if one.Partition != nil {
		message.Partition = *one.Partition
	}
	if one.Timestamp != nil {
		message.Timestamp = time.UnixMilli(*one.Timestamp)
	}
	headers, err := one.headers()
	for _, header := range headers {
		message.Headers = append(message.Headers, sarama.RecordHeader{Key: []byte(header.name), Value: header.value})
	}
	return message, err
}

func (d *saramaClient) loadStart(request *loadRequest) (any, error) {
	config := d.acknowledging()
	idempotent(config)
	config.Producer.Flush.Frequency = 2 * time.Millisecond
	// Two minutes of trying again, as the other clients' delivery limit.
	config.Producer.Retry.Max, config.Producer.Retry.Backoff = 1200, 100*time.Millisecond
	config.Metadata.Retry.Max, config.Metadata.Retry.Backoff = 1200, 100*time.Millisecond
	config.Metadata.Timeout = 2 * time.Minute
	producer, err := sarama.NewAsyncProducer([]string{d.address}, config)
	if err != nil {
		return nil, err
	}
	started := newLoad()
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		successes, failures := producer.Successes(), producer.Errors()
		for successes != nil || failures != nil {
			select {
			case sent, open := <-successes:
				if !open {
					successes = nil
					continue
				}
				started.answered(sent.Partition, sent.Metadata.(int64), sent.Offset, nil)
			case failed, open := <-failures:
				if !open {
					failures = nil
					continue
				}
				started.answered(failed.Msg.Partition, failed.Msg.Metadata.(int64), 0, failed.Err)
			}
		}
	}()
	send := func(partition int32, number int64) {
		value := sarama.ByteEncoder(strconv.AppendInt(nil, number, 10))
		producer.Input() <- &sarama.ProducerMessage{Topic: request.Topic, Partition: partition, Value: value, Metadata: number}
	}
	finish := func() {
		producer.AsyncClose()
		<-answered
	}
	d.load = started
	go started.run(request.Partitions, send, finish)
	return map[string]any{}, nil
}

func (d *saramaClient) loadStatus([]byte) (any, error) {
	return d.load.status(), nil
}

func (d *saramaClient) loadStop([]byte) (any, error) {
	return d.load.stop(), nil
}
