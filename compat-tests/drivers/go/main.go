// The driver of franz-go: the line protocol of ../README.md on stdin and stdout.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const callLimit = 30 * time.Second

// driver is what lives from one verb to the next.
type driver struct {
	address string
	member  *member
	load    *load
}

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

func main() {
	d := &driver{address: os.Args[1]}
	requests := bufio.NewReaderSize(os.Stdin, 1<<20)
	answers := json.NewEncoder(os.Stdout)
	answers.SetEscapeHTML(false)
	for {
		line, err := requests.ReadBytes('\n')
		if err != nil {
			return
		}
		var verb struct{ Verb string }
		if err := json.Unmarshal(line, &verb); err != nil {
			panic(err)
		}
		value, err := d.answer(verb.Verb, line)
		answer := map[string]any{"ok": value}
		if err != nil {
			answer = map[string]any{"error": describe(err)}
		}
		if err := answers.Encode(answer); err != nil {
			panic(err)
		}
	}
}

func (d *driver) answer(verb string, request []byte) (any, error) {
	verbs := map[string]func([]byte) (any, error){
		"hello":                     d.hello,
		"produce":                   d.produce,
		"load_start":                d.loadStart,
		"load_status":               d.loadStatus,
		"load_stop":                 d.loadStop,
		"consume":                   d.consume,
		"offset_for_time":           d.offsetForTime,
		"watermarks":                d.watermarks,
		"long_poll":                 d.longPoll,
		"group_join":                d.groupJoin,
		"group_poll":                d.groupPoll,
		"group_commit":              d.groupCommit,
		"group_leave":               d.groupLeave,
		"create_topic":              d.createTopic,
		"describe_topic":            d.describeTopic,
		"list_topics":               d.listTopics,
		"create_partitions":         d.createPartitions,
		"delete_topic":              d.deleteTopic,
		"describe_configs":          d.describeConfigs,
		"incremental_alter_configs": d.incrementalAlterConfigs,
		"alter_configs":             d.alterConfigs,
	}
	answer, known := verbs[verb]
	if !known {
		return nil, fmt.Errorf("this driver has no verb %s", verb)
	}
	return answer(request)
}

func (d *driver) hello([]byte) (any, error) {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == "github.com/twmb/franz-go" {
			return "franz-go " + module.Version, nil
		}
	}
	return "franz-go", nil
}

// describe is the error as Kafka's code, if it has one, and the client's words.
func describe(err error) map[string]any {
	var kafka *kerr.Error
	if errors.As(err, &kafka) {
		return map[string]any{"code": kafka.Code, "message": err.Error()}
	}
	return map[string]any{"code": nil, "message": err.Error()}
}

func (d *driver) client(options ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(d.address)}, options...)...)
}
