package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const unanswered = 2000

// load is an idempotent producer in the background.
type load struct {
	stopped      atomic.Bool
	waiting      atomic.Int64
	done         chan struct{}
	lock         sync.Mutex
	acknowledged [][3]int64
	failed       []string
}

func newLoad() *load {
	return &load{done: make(chan struct{}), acknowledged: [][3]int64{}, failed: []string{}}
}

// run sends a row of records each millisecond until it is stopped, and then calls finish, which returns when all are answered.
func (l *load) run(partitions int32, send func(partition int32, number int64), finish func()) {
	defer close(l.done)
	for number := int64(0); !l.stopped.Load(); time.Sleep(time.Millisecond) {
		if l.waiting.Load() >= unanswered {
			continue
		}
		for partition := range partitions {
			l.waiting.Add(1)
			send(partition, number)
		}
		number++
	}
	finish()
}

func (l *load) answered(partition int32, number, offset int64, err error) {
	l.lock.Lock()
	defer l.lock.Unlock()
	if err == nil {
		l.acknowledged = append(l.acknowledged, [3]int64{int64(partition), number, offset})
	} else {
		l.failed = append(l.failed, fmt.Sprintf("%d/%d: %v", partition, number, err))
	}
	l.waiting.Add(-1)
}

func (l *load) status() int {
	l.lock.Lock()
	defer l.lock.Unlock()
	return len(l.acknowledged)
}

func (l *load) stop() map[string]any {
	l.stopped.Store(true)
	<-l.done
	return map[string]any{"acknowledged": l.acknowledged, "failed": l.failed}
}
