// The drivers of Go's clients, franz-go and sarama: the line protocol of ../README.md on stdin and stdout.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"time"
)

const callLimit = 30 * time.Second

// library is a client library behind the verbs: a method for each, which is given what it was asked.
type library interface {
	// code is Kafka's number of an error, nil when it has none.
	code(error) any

	hello([]byte) (any, error)
	produce(*produceRequest) (any, error)
	loadStart(*loadRequest) (any, error)
	loadStatus([]byte) (any, error)
	loadStop([]byte) (any, error)
	consume(*consumeRequest) (any, error)
	offsetForTime(*timeRequest) (any, error)
	watermarks(*place) (any, error)
	longPoll(*longPollRequest) (any, error)
	groupJoin(*joinRequest) (any, error)
	groupPoll(*pollRequest) (any, error)
	groupCommit([]byte) (any, error)
	groupLeave([]byte) (any, error)
	createTopic(*topicRequest) (any, error)
	describeTopic(*topicRequest) (any, error)
	listTopics(*topicRequest) (any, error)
	createPartitions(*topicRequest) (any, error)
	deleteTopic(*topicRequest) (any, error)
	describeConfigs(*topicRequest) (any, error)
	incrementalAlterConfigs(*topicRequest) (any, error)
	alterConfigs(*topicRequest) (any, error)
	describeLogDirs(*topicRequest) (any, error)
}

func verbs(l library) map[string]func([]byte) (any, error) {
	return map[string]func([]byte) (any, error){
		"hello":                     l.hello,
		"produce":                   parsed(l.produce),
		"load_start":                parsed(l.loadStart),
		"load_status":               l.loadStatus,
		"load_stop":                 l.loadStop,
		"consume":                   parsed(l.consume),
		"offset_for_time":           parsed(l.offsetForTime),
		"watermarks":                parsed(l.watermarks),
		"long_poll":                 parsed(l.longPoll),
		"group_join":                parsed(l.groupJoin),
		"group_poll":                parsed(l.groupPoll),
		"group_commit":              l.groupCommit,
		"group_leave":               l.groupLeave,
		"create_topic":              parsed(l.createTopic),
		"describe_topic":            parsed(l.describeTopic),
		"list_topics":               parsed(l.listTopics),
		"create_partitions":         parsed(l.createPartitions),
		"delete_topic":              parsed(l.deleteTopic),
		"describe_configs":          parsed(l.describeConfigs),
		"incremental_alter_configs": parsed(l.incrementalAlterConfigs),
		"alter_configs":             parsed(l.alterConfigs),
		"describe_log_dirs":         parsed(l.describeLogDirs),
	}
}

// parsed is a verb with parameters.
func parsed[T any](verb func(*T) (any, error)) func([]byte) (any, error) {
	return func(line []byte) (any, error) {
		request := new(T)
		if err := json.Unmarshal(line, request); err != nil {
			return nil, err
		}
		return verb(request)
	}
}

func main() {
	libraries := map[string]library{
		"franz-go": &franzGo{address: os.Args[2]},
		"sarama":   &saramaClient{address: os.Args[2]},
	}
	chosen, exists := libraries[os.Args[1]]
	if !exists {
		panic("there is no driver for " + os.Args[1])
	}
	requests := bufio.NewReaderSize(os.Stdin, 1<<20)
	answers := json.NewEncoder(os.Stdout)
	answers.SetEscapeHTML(false)
	known := verbs(chosen)
	for {
		line, err := requests.ReadBytes('\n')
		if err != nil {
			return
		}
		var asked struct{ Verb string }
		if err := json.Unmarshal(line, &asked); err != nil {
			panic(err)
		}
		value, err := answer(known, asked.Verb, line)
		reply := map[string]any{"ok": value}
		if err != nil {
			reply = map[string]any{"error": map[string]any{"code": chosen.code(err), "message": err.Error()}}
		}
		if err := answers.Encode(reply); err != nil {
			panic(err)
		}
	}
}

func answer(verbs map[string]func([]byte) (any, error), name string, request []byte) (any, error) {
	verb, known := verbs[name]
	if !known {
		return nil, fmt.Errorf("this driver has no verb %s", name)
	}
	return verb(request)
}

// version is the name of a library with the version that is linked in.
func version(name, module string) string {
	info, _ := debug.ReadBuildInfo()
	for _, one := range info.Deps {
		if one.Path == module {
			return name + " " + one.Version
		}
	}
	return name
}
