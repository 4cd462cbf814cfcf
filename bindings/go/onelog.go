// Package onelog starts Kafka-protocol brokers for tests: a thin driver of the onelog binary.
//
// Each broker is a process of its own with its data in memory. It ends with the process that started it, whatever ends that, and
// leaves nothing behind.
package onelog

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const stopLimit = 10 * time.Second

type settings struct {
	binary       string
	topics       []string
	overrides    []string
	startTimeout time.Duration
}

// Option says how a broker is started.
type Option func(*settings)

// Topics are made at the start, each NAME[:PARTITIONS].
func Topics(topics ...string) Option {
	return func(s *settings) { s.topics = append(s.topics, topics...) }
}

// Override sets a key of Kafka's server.properties.
func Override(key, value string) Option {
	return func(s *settings) { s.overrides = append(s.overrides, key+"="+value) }
}

// Binary is started instead of what ONELOG_BIN or PATH name.
func Binary(path string) Option {
	return func(s *settings) { s.binary = path }
}

// StartTimeout is how long the start may take; 30 seconds unless it is said.
func StartTimeout(limit time.Duration) Option {
	return func(s *settings) { s.startTimeout = limit }
}

// Broker is a running broker.
type Broker struct {
	address string
	process *exec.Cmd
	ended   chan struct{}
	log     *os.File
}

// Start starts a broker for t, on a free port with its data in memory, and stops it with t. A broker that does not start fails t.
func Start(t testing.TB, options ...Option) *Broker {
	t.Helper()
	broker, err := StartBroker(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the broker said:\n%s", broker.Log())
		}
		broker.Stop()
	})
	return broker
}

// StartBroker starts a broker; when it returns, the broker serves. The error has the broker's own words.
func StartBroker(options ...Option) (*Broker, error) {
	s := settings{startTimeout: 30 * time.Second}
	for _, option := range options {
		option(&s)
	}
	binary, err := s.findBinary()
	if err != nil {
		return nil, err
	}
	// The folder goes as soon as the broker serves, so that nothing can leave it behind; the log stays readable.
	folder, err := os.MkdirTemp("", "onelog-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	ready := filepath.Join(folder, "ready")
	log, err := os.OpenFile(filepath.Join(folder, "log"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	process := exec.Command(binary, s.arguments(ready)...)
	process.Stderr = log
	process.Env = environment()
	// A group of its own: Ctrl-C at the terminal is for the tests, which then stop the broker.
	process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := process.Start(); err != nil {
		log.Close()
		return nil, fmt.Errorf("%s cannot be started: %w", binary, err)
	}
	broker := &Broker{process: process, ended: make(chan struct{}), log: log}
	go func() {
		process.Wait()
		close(broker.ended)
	}()
	if err := broker.waitUntilReady(binary, ready, s.startTimeout); err != nil {
		broker.Stop()
		return nil, err
	}
	return broker, nil
}

// BootstrapServers is host:port for clients.
func (b *Broker) BootstrapServers() string { return b.address }

// Log is what the broker has said so far; nothing once it is stopped.
func (b *Broker) Log() string {
	text, err := io.ReadAll(io.NewSectionReader(b.log, 0, 1<<30))
	if err != nil {
		return ""
	}
	return string(text)
}

// Stop stops the broker and waits until it is gone. Harmless when it is stopped already.
func (b *Broker) Stop() {
	b.process.Process.Signal(syscall.SIGTERM)
	select {
	case <-b.ended:
	case <-time.After(stopLimit):
		b.process.Process.Kill()
		<-b.ended
	}
	b.log.Close()
}

func (b *Broker) waitUntilReady(binary, ready string, limit time.Duration) error {
	deadline := time.After(limit)
	for {
		text, err := os.ReadFile(ready)
		if err == nil {
			b.address, _, _ = strings.Cut(string(text), "\n")
			return nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return err
		}
		select {
		case <-b.ended:
			return fmt.Errorf("%s ended at its start with %s:\n%s", binary, b.process.ProcessState, b.Log())
		case <-deadline:
			return fmt.Errorf("%s does not serve after %s:\n%s", binary, limit, b.Log())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func (s *settings) findBinary() (string, error) {
	if s.binary != "" {
		return s.binary, nil
	}
	if named := os.Getenv("ONELOG_BIN"); named != "" {
		if _, err := exec.LookPath(named); err != nil {
			return "", fmt.Errorf("ONELOG_BIN is %s, which is no program: %w", named, err)
		}
		return named, nil
	}
	found, err := exec.LookPath("onelog")
	if err != nil {
		return "", errors.New("no onelog binary: set ONELOG_BIN to its path, or put `onelog` in a folder of PATH " +
			"(build it with `cargo build --release --bin onelog`)")
	}
	return found, nil
}

func (s *settings) arguments(ready string) []string {
	arguments := []string{"dev", "--ready-file", ready}
	if len(s.topics) > 0 {
		arguments = append(arguments, "--topics", strings.Join(s.topics, ","))
	}
	for _, override := range s.overrides {
		arguments = append(arguments, "--override", override)
	}
	return arguments
}

// environment is that of this process without the variables that would configure the broker.
func environment() []string {
	var variables []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "KAFKA_") {
			variables = append(variables, variable)
		}
	}
	return variables
}
