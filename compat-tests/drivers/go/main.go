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

// library is a client library behind the verbs: a method for each, which is given the whole request.
type library interface {
	// code is Kafka's number of an error, nil when it has none.
	code(error) any

	hello(request []byte) (any, error)
	produce(request []byte) (any, error)
	loadStart(request []byte) (any, error)
	loadStatus(request []byte) (any, error)
	loadStop(request []byte) (any, error)
	consume(request []byte) (any, error)
	offsetForTime(request []byte) (any, error)
	watermarks(request []byte) (any, error)
	longPoll(request []byte) (any, error)
	groupJoin(request []byte) (any, error)
	groupPoll(request []byte) (any, error)
	groupCommit(request []byte) (any, error)
	groupLeave(request []byte) (any, error)
	createTopic(request []byte) (any, error)
	describeTopic(request []byte) (any, error)
	listTopics(request []byte) (any, error)
	createPartitions(request []byte) (any, error)
	deleteTopic(request []byte) (any, error)
	describeConfigs(request []byte) (any, error)
	incrementalAlterConfigs(request []byte) (any, error)
	alterConfigs(request []byte) (any, error)
}

func verbs(l library) map[string]func([]byte) (any, error) {
	return map[string]func([]byte) (any, error){
		"hello":                     l.hello,
		"produce":                   l.produce,
		"load_start":                l.loadStart,
		"load_status":               l.loadStatus,
		"load_stop":                 l.loadStop,
		"consume":                   l.consume,
		"offset_for_time":           l.offsetForTime,
		"watermarks":                l.watermarks,
		"long_poll":                 l.longPoll,
		"group_join":                l.groupJoin,
		"group_poll":                l.groupPoll,
		"group_commit":              l.groupCommit,
		"group_leave":               l.groupLeave,
		"create_topic":              l.createTopic,
		"describe_topic":            l.describeTopic,
		"list_topics":               l.listTopics,
		"create_partitions":         l.createPartitions,
		"delete_topic":              l.deleteTopic,
		"describe_configs":          l.describeConfigs,
		"incremental_alter_configs": l.incrementalAlterConfigs,
		"alter_configs":             l.alterConfigs,
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
