package onelog_test

import (
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"onelog"
)

func connects(address string) bool {
	connection, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return false
	}
	connection.Close()
	return true
}

func refused(t *testing.T, want string, options ...onelog.Option) {
	t.Helper()
	broker, err := onelog.StartBroker(options...)
	if err == nil {
		broker.Stop()
		t.Fatalf("it started; wanted %q", want)
	}
	if !strings.Contains(err.Error(), want) {
		t.Fatalf("got %q, wanted %q", err, want)
	}
}

func TestBrokerServesUntilItsTestEnds(t *testing.T) {
	var address string
	t.Run("serves", func(t *testing.T) {
		broker := onelog.Start(t, onelog.Topics("orders:3"), onelog.Override("num.partitions", "2"))
		address = broker.BootstrapServers()
		if !connects(address) || !strings.Contains(broker.Log(), "log opened") {
			t.Fatalf("%s: %s", address, broker.Log())
		}
	})
	if connects(address) {
		t.Fatal("it serves after its test")
	}
}

func TestControlAndResetReachTheBroker(t *testing.T) {
	broker := onelog.Start(t, onelog.Topics("orders", "kept"), onelog.TestMode())
	var reset struct {
		TopicsDeleted []string `json:"topics_deleted"`
	}
	body := map[string]any{"keep_topics": []string{"kept"}}
	if err := broker.Control("POST", "/test/reset", body, &reset); err != nil || len(reset.TopicsDeleted) != 1 {
		t.Fatalf("%v %v", reset, err)
	}
	if err := broker.Reset(); err != nil {
		t.Fatal(err)
	}
	if err := broker.Reset("kept"); err == nil || !strings.Contains(err.Error(), "kept") {
		t.Fatalf("a topic that is gone was kept: %v", err)
	}
	if err := onelog.Start(t).Reset(); err == nil || !strings.Contains(err.Error(), "onelog.TestMode()") {
		t.Fatalf("reset without test mode: %v", err)
	}
}

func TestStopTwiceIsHarmless(t *testing.T) {
	broker, err := onelog.StartBroker()
	if err != nil {
		t.Fatal(err)
	}
	broker.Stop()
	broker.Stop()
}

func TestBrokerEndsWithTheProcessThatStartedIt(t *testing.T) {
	if os.Getenv("ONELOG_TEST_CHILD") != "" {
		broker, err := onelog.StartBroker()
		if err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString(broker.BootstrapServers() + "\n")
		process, _ := os.FindProcess(os.Getpid())
		process.Kill()
		select {}
	}
	child := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	child.Env = append(os.Environ(), "ONELOG_TEST_CHILD=1")
	output, err := child.Output()
	if err == nil {
		t.Fatal("the child was not killed")
	}
	address := strings.TrimSpace(string(output))
	if !strings.HasPrefix(address, "127.0.0.1:") {
		t.Fatalf("%q is no address", address)
	}
	for deadline := time.Now().Add(20 * time.Second); connects(address); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the broker outlived its parent")
		}
	}
}

func TestRefusedStartShowsTheWordsOfTheBroker(t *testing.T) {
	refused(t, `num.partitions is "many"; give a whole number`, onelog.Override("num.partitions", "many"))
}

func TestVariablesOfTheTestDoNotConfigureTheBroker(t *testing.T) {
	t.Setenv("KAFKA_NUM_PARTITIONS", "many")
	onelog.Start(t)
}

func TestMissingBinaryIsAnErrorThatSaysWhereItIsLookedFor(t *testing.T) {
	t.Setenv("PATH", os.DevNull)
	t.Setenv("ONELOG_BIN", "")
	refused(t, "set ONELOG_BIN to its path, or put `onelog` in a folder of PATH")
	t.Setenv("ONELOG_BIN", "/no/such/onelog")
	refused(t, "ONELOG_BIN is /no/such/onelog, which is no program")
	refused(t, "/no/such/other cannot be started", onelog.Binary("/no/such/other"))
}
