package main

import (
	"errors"
	"time"

	"github.com/IBM/sarama"
)

func (d *saramaClient) consume(request *consumeRequest) (any, error) {
	consumer, partition, err := d.reader(request.place, request.Offset, d.config())
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	defer partition.Close()
	limit := time.After(milliseconds(request.TimeoutMs))
	records := []map[string]any{}
	for len(records) < request.Count {
		select {
		case message := <-partition.Messages():
			records = append(records, saramaRecord(message))
		case <-limit:
			return records, nil
		}
	}
	return records, nil
}

// reader is a consumer of one partition and what it reads; the caller closes both.
func (d *saramaClient) reader(at place, offset int64, config *sarama.Config) (sarama.Consumer, sarama.PartitionConsumer, error) {
	consumer, err := sarama.NewConsumer([]string{d.address}, config)
	if err != nil {
		return nil, nil, err
	}
	partition, err := consumer.ConsumePartition(at.Topic, at.Partition, offset)
	if err != nil {
		return nil, nil, errors.Join(err, consumer.Close())
	}
	return consumer, partition, nil
}

func saramaRecord(message *sarama.ConsumerMessage) map[string]any {
	var headers []header
	for _, one := range message.Headers {
		headers = append(headers, header{string(one.Key), one.Value})
	}
	return received(message.Partition, message.Offset, message.Timestamp, message.Key, message.Value, headers)
}

func (d *saramaClient) offset(at place, which int64) (int64, error) {
	client, err := d.client(d.config())
	if err != nil {
		return 0, err
	}
	defer client.Close()
	return client.GetOffset(at.Topic, at.Partition, which)
}

func (d *saramaClient) offsetForTime(request *timeRequest) (any, error) {
	offset, err := d.offset(request.place, request.Timestamp)
	if err != nil || offset < 0 {
		return nil, err
	}
	return offset, nil
}

func (d *saramaClient) watermarks(at *place) (any, error) {
	oldest, err := d.offset(*at, sarama.OffsetOldest)
	if err != nil {
		return nil, err
	}
	newest, err := d.offset(*at, sarama.OffsetNewest)
	return []int64{oldest, newest}, err
}

func (d *saramaClient) longPoll(request *longPollRequest) (any, error) {
	config := d.acknowledging()
	config.Consumer.MaxWaitTime = milliseconds(request.MaxWaitMs)
	config.Consumer.Fetch.Min = 1
	consumer, partition, err := d.reader(request.place, sarama.OffsetNewest, config)
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	defer partition.Close()
	receipts := make(chan time.Time, 1)
	go func() {
		for range partition.Messages() {
			receipts <- time.Now()
		}
	}()
	producer, err := sarama.NewSyncProducer([]string{d.address}, config)
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	latencies := []float64{}
	for range request.Rounds {
		time.Sleep(150 * time.Millisecond)
		ping := &sarama.ProducerMessage{Topic: request.Topic, Partition: request.Partition, Value: sarama.StringEncoder("ping")}
		if _, _, err := producer.SendMessage(ping); err != nil {
			return nil, err
		}
		acknowledged := time.Now()
		select {
		case at := <-receipts:
			latencies = append(latencies, max(0, at.Sub(acknowledged).Seconds()*1000))
		case <-time.After(callLimit):
			return nil, errors.New("a record was acknowledged and not received")
		}
	}
	return latencies, nil
}
