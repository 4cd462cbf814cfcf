package main

import (
	"encoding/base64"
	"time"
)

// place is a partition of a topic.
type place struct {
	Topic     string
	Partition int32
}

type record struct {
	Topic     string       `json:"topic"`
	Partition *int32       `json:"partition"`
	Key       []byte       `json:"key"`
	Value     []byte       `json:"value"`
	Headers   [][2]*string `json:"headers"`
	Timestamp *int64       `json:"timestamp"`
}

type header struct {
	name  string
	value []byte
}

// headers of a record that is to be sent.
func (r *record) headers() ([]header, error) {
	var all []header
	for _, one := range r.Headers {
		var value []byte
		if one[1] != nil {
			var err error
			if value, err = base64.StdEncoding.DecodeString(*one[1]); err != nil {
				return nil, err
			}
		}
		all = append(all, header{*one[0], value})
	}
	return all, nil
}

// received is a record as it is answered.
func received(partition int32, offset int64, timestamp time.Time, key, value []byte, headers []header) map[string]any {
	pairs := [][2]any{}
	for _, one := range headers {
		pairs = append(pairs, [2]any{one.name, text(one.value)})
	}
	return map[string]any{
		"partition": partition, "offset": offset, "timestamp": timestamp.UnixMilli(),
		"key": text(key), "value": text(value), "headers": pairs,
	}
}

// text is base64, or null for what is null and not only empty.
func text(bytes []byte) any {
	if bytes == nil {
		return nil
	}
	return base64.StdEncoding.EncodeToString(bytes)
}

// delivery is how one record fared: its place, or Kafka's code, below zero when the library has none.
func delivery(partition int32, offset int64, err error, code any) map[string]any {
	if err == nil {
		return map[string]any{"partition": partition, "offset": offset}
	}
	if code == nil {
		code = -1
	}
	return map[string]any{"code": code, "message": err.Error()}
}

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

type consumeRequest struct {
	place
	Offset    int64
	Count     int
	TimeoutMs int64 `json:"timeout_ms"`
}

type timeRequest struct {
	place
	Timestamp int64
}

type longPollRequest struct {
	place
	Rounds    int
	MaxWaitMs int64 `json:"max_wait_ms"`
}

type joinRequest struct {
	Group            string
	Topic            string
	SessionTimeoutMs int64 `json:"session_timeout_ms"`
}

type pollRequest struct {
	TimeoutMs int64 `json:"timeout_ms"`
}

type topicRequest struct {
	Topic      string
	Partitions int32
	Total      int
	Configs    map[string]*string
	Set        map[string]*string
	Delete     []string
}

type loadRequest struct {
	Topic      string
	Partitions int32
}
