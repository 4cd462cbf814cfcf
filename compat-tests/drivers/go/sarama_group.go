package main

import (
	"context"
	"errors"
	"sort"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// saramaMember is the one group member of this process. Its handler gives the messages of all partitions to one channel, so that
// what was not polled yet is not committed either.
type saramaMember struct {
	group    sarama.ConsumerGroup
	topic    string
	messages chan *sarama.ConsumerMessage
	ended    chan struct{}
	leave    context.CancelFunc
	lock     sync.Mutex
	session  sarama.ConsumerGroupSession
}

func (d *saramaClient) groupJoin(request *joinRequest) (any, error) {
	config := d.config()
	config.Consumer.Group.Session.Timeout = milliseconds(request.SessionTimeoutMs)
	config.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	group, err := sarama.NewConsumerGroup([]string{d.address}, request.Group, config)
	if err != nil {
		return nil, err
	}
	limit, leave := context.WithCancel(context.Background())
	d.member = &saramaMember{
		group: group, topic: request.Topic, leave: leave, messages: make(chan *sarama.ConsumerMessage), ended: make(chan struct{}),
	}
	go d.member.run(limit)
	return map[string]any{}, nil
}

// run joins again after each rebalance, which ends Consume.
func (m *saramaMember) run(limit context.Context) {
	defer close(m.ended)
	for limit.Err() == nil {
		if err := m.group.Consume(limit, []string{m.topic}, m); err != nil && limit.Err() == nil {
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// Setup is called by the library when the member has its partitions.
func (m *saramaMember) Setup(session sarama.ConsumerGroupSession) error {
	m.hold(session)
	return nil
}

// Cleanup is called by the library when they are taken away.
func (m *saramaMember) Cleanup(sarama.ConsumerGroupSession) error {
	m.hold(nil)
	return nil
}

// ConsumeClaim is called by the library for each partition, and must end with the session.
func (m *saramaMember) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case message, open := <-claim.Messages():
			if !open {
				return nil
			}
			select {
			case m.messages <- message:
			case <-session.Context().Done():
				return nil
			}
		case <-session.Context().Done():
			return nil
		}
	}
}

func (m *saramaMember) hold(session sarama.ConsumerGroupSession) {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.session = session
}

func (m *saramaMember) held() sarama.ConsumerGroupSession {
	m.lock.Lock()
	defer m.lock.Unlock()
	return m.session
}

func (d *saramaClient) groupPoll(request *pollRequest) (any, error) {
	limit := time.After(milliseconds(request.TimeoutMs))
	records := []map[string]any{}
	for polling := true; polling; {
		select {
		case message := <-d.member.messages:
			if session := d.member.held(); session != nil {
				session.MarkMessage(message, "")
			}
			records = append(records, saramaRecord(message))
		case <-limit:
			polling = false
		}
	}
	assignment := []int32{}
	if session := d.member.held(); session != nil {
		assignment = append(assignment, session.Claims()[d.member.topic]...)
	}
	sort.Slice(assignment, func(i, j int) bool { return assignment[i] < assignment[j] })
	return map[string]any{"assignment": assignment, "records": records}, nil
}

func (d *saramaClient) groupCommit([]byte) (any, error) {
	session := d.member.held()
	if session == nil {
		return nil, errors.New("the member has no partitions now")
	}
	session.Commit()
	return map[string]any{}, nil
}

func (d *saramaClient) groupLeave([]byte) (any, error) {
	d.member.leave()
	<-d.member.ended
	err := d.member.group.Close()
	d.member = nil
	return map[string]any{}, err
}
