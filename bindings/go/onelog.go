// Package onelog starts Kafka-protocol brokers for tests: a thin driver of the onelog binary.
//
// Each broker is a process of its own with its data in memory. It ends with the process that started it, whatever ends that, and
// leaves nothing behind.
package onelog

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	stopLimit    = 10 * time.Second
	controlLimit = 60 * time.Second
)

type settings struct {
	binary       string
	topics       []string
	overrides    []string
	testMode     bool
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

// TestMode serves the control API, for Control and Reset.
func TestMode() Option {
	return func(s *settings) { s.testMode = true }
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
	admin   string
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
	if err := broker.waitUntilReady(binary, ready, s.startTimeout, s.testMode); err != nil {
		broker.Stop()
		return nil, err
	}
	return broker, nil
}

// BootstrapServers is host:port for clients.
func (b *Broker) BootstrapServers() string { return b.address }

// Control asks the control API, for example Control("GET", "/test/requests?key=produce", nil, &answer). A body or an answer of nil is
// left out. The error has the broker's sentence.
func (b *Broker) Control(method, path string, body, answer any) error {
	if b.admin == "" {
		return errors.New("the control API is not served: start the broker with onelog.TestMode()")
	}
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	request, err := http.NewRequest(method, "http://"+b.admin+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	// Without the proxies of the environment and without connections that stay: the broker is on this machine and goes soon.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: controlLimit}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		var refusal struct{ Error string }
		if err := json.NewDecoder(response.Body).Decode(&refusal); err != nil {
			return fmt.Errorf("%s %s: %s", method, path, response.Status)
		}
		return fmt.Errorf("%s %s: %s", method, path, refusal.Error)
	}
	if answer == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(answer)
}

// Reset makes the broker as if it had just been started empty, but for keepTopics.
func (b *Broker) Reset(keepTopics ...string) error {
	return b.Control("POST", "/test/reset", map[string]any{"keep_topics": append([]string{}, keepTopics...)}, nil)
}

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

func (b *Broker) waitUntilReady(binary, ready string, limit time.Duration, testMode bool) error {
	deadline := time.After(limit)
	for {
		text, err := os.ReadFile(ready)
		if err == nil {
			lines := strings.Split(string(text), "\n")
			b.address = lines[0]
			for _, line := range lines[1:] {
				if admin, found := strings.CutPrefix(line, "admin "); found && testMode {
					b.admin = admin
				}
			}
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
	if s.testMode {
		arguments = append(arguments, "--test-mode")
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
