// Reads that are checked record by record, in the manner of kgo-verifier (Redpanda's): each value says which record it is, so
// that a reader can tell a lost, repeated, reordered, foreign or damaged one from the right one, whatever way it came to it.
package verifier

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	partitions = 16
	// Smaller than what is written to a partition, so that retention and compaction have segments to work on.
	segmentBytes = 1 << 20
)

// How many records are written to a topic, `VERIFIER_RECORDS`.
func recordCount(t *testing.T) int {
	count, err := strconv.Atoi(os.Getenv("VERIFIER_RECORDS"))
	if err != nil {
		t.Fatalf("VERIFIER_RECORDS: %v", err)
	}
	return count
}

func client(t *testing.T, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	options = append([]kgo.Opt{
		kgo.SeedBrokers(os.Getenv("VERIFIER_BROKERS")),
		// Compressed and plain batches, small and large, are all to be met.
		kgo.ProducerLinger(2 * time.Millisecond),
		kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
	}, options...)
	created, err := kgo.NewClient(options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(created.Close)
	return created
}

// A topic of its own for the test, with `configs` as KEY, VALUE and so on.
func topic(t *testing.T, configs ...string) string {
	t.Helper()
	name := fmt.Sprintf("%s-%x", t.Name(), rand.Uint32())
	asked := kmsg.NewCreateTopicsRequestTopic()
	asked.Topic, asked.NumPartitions, asked.ReplicationFactor = name, partitions, 1
	configs = append(configs, "segment.bytes", strconv.Itoa(segmentBytes))
	for at := 0; at < len(configs); at += 2 {
		config := kmsg.NewCreateTopicsRequestTopicConfig()
		config.Name, config.Value = configs[at], &configs[at+1]
		asked.Configs = append(asked.Configs, config)
	}
	request := kmsg.NewPtrCreateTopicsRequest()
	request.Topics = append(request.Topics, asked)
	answer, err := request.RequestWith(context.Background(), client(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := kerr.ErrorForCode(answer.Topics[0].ErrorCode); err != nil {
		t.Fatal(err)
	}
	return name
}

// The value of record `number` of `writer` in `partition`: these three, a filling that depends on them, and a CRC over all.
func value(partition int32, writer uint32, number int64) []byte {
	random := rand.New(rand.NewPCG(uint64(partition)<<32|uint64(writer), uint64(number)))
	made := make([]byte, 16, 16+256)
	binary.BigEndian.PutUint32(made, uint32(partition))
	binary.BigEndian.PutUint32(made[4:], writer)
	binary.BigEndian.PutUint64(made[8:], uint64(number))
	word := byte(random.Uint32())
	for range random.IntN(200) {
		made = append(made, word, byte(random.Uint32N(4)))
	}
	return binary.BigEndian.AppendUint32(made, crc32.ChecksumIEEE(made))
}

// Which record a value is, after every byte of it was compared with what was written.
func parse(record *kgo.Record) (writer uint32, number int64, err error) {
	if len(record.Value) < 20 {
		return 0, 0, fmt.Errorf("%s: a value of %d bytes", place(record), len(record.Value))
	}
	writer = binary.BigEndian.Uint32(record.Value[4:])
	number = int64(binary.BigEndian.Uint64(record.Value[8:]))
	if !bytes.Equal(record.Value, value(record.Partition, writer, number)) {
		return 0, 0, fmt.Errorf("%s: not what was written there", place(record))
	}
	return writer, number, nil
}

func place(record *kgo.Record) string {
	return fmt.Sprintf("%s-%d@%d", record.Topic, record.Partition, record.Offset)
}

// What was acknowledged: the number of the record at each offset of each partition.
type written struct {
	mutex sync.Mutex
	at    [partitions]map[int64]int64
	count int
}

func newWritten() *written {
	made := &written{}
	for partition := range made.at {
		made.at[partition] = map[int64]int64{}
	}
	return made
}

func (w *written) add(t *testing.T, record *kgo.Record, number int64) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if before, taken := w.at[record.Partition][record.Offset]; taken {
		t.Errorf("%s was given to record %d and to record %d", place(record), before, number)
	}
	w.at[record.Partition][record.Offset] = number
	w.count++
}

// Whether `record` is the one that was acknowledged at its offset.
func (w *written) check(record *kgo.Record) error {
	_, number, err := parse(record)
	if err != nil {
		return err
	}
	expected, known := w.at[record.Partition][record.Offset]
	if !known || expected != number {
		return fmt.Errorf("%s: record %d, acknowledged there was %d (%t)", place(record), number, expected, known)
	}
	return nil
}

var codecs = []kgo.CompressionCodec{
	kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(),
}

// Writes `count` records with a producer for each codec, all at once.
func fill(t *testing.T, name string, count int) *written {
	t.Helper()
	acknowledged := newWritten()
	var producers sync.WaitGroup
	for writer, codec := range codecs {
		producer := client(t, kgo.ProducerBatchCompression(codec))
		producers.Go(func() {
			for number := writer; number < count; number += len(codecs) {
				partition := int32(rand.IntN(partitions))
				record := &kgo.Record{Topic: name, Partition: partition, Value: value(partition, uint32(writer), int64(number))}
				producer.Produce(context.Background(), record, func(record *kgo.Record, err error) {
					if err != nil {
						t.Errorf("record %d: %v", number, err)
						return
					}
					acknowledged.add(t, record, int64(number))
				})
			}
			if err := producer.Flush(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	producers.Wait()
	if t.Failed() || acknowledged.count != count {
		t.Fatalf("%d of %d records acknowledged", acknowledged.count, count)
	}
	return acknowledged
}

// The position of a reader that may only go forward, in offsets and in leader epochs.
type position struct{ offset, epoch int64 }

func (p *position) advance(record *kgo.Record) error {
	if record.Offset <= p.offset {
		return fmt.Errorf("%s came after offset %d", place(record), p.offset)
	}
	if int64(record.LeaderEpoch) < p.epoch {
		return fmt.Errorf("%s: leader epoch %d after %d", place(record), record.LeaderEpoch, p.epoch)
	}
	p.offset, p.epoch = record.Offset, int64(record.LeaderEpoch)
	return nil
}

func starts() [partitions]position {
	var made [partitions]position
	for partition := range made {
		made[partition].offset = -1
	}
	return made
}

// Reads until `enough`, with every record given to `see` in the order in which it comes.
func read(t *testing.T, reader *kgo.Client, enough func() bool, see func(*kgo.Record) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for !enough() {
		fetched := reader.PollFetches(ctx)
		for _, failure := range fetched.Errors() {
			t.Fatalf("%s-%d: %v", failure.Topic, failure.Partition, failure.Err)
		}
		for each := fetched.RecordIter(); !each.Done(); {
			if err := see(each.Next()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// The negative control: what a broker could do wrong is seen, with no broker at all.
func TestTheChecksFindWhatIsWrong(t *testing.T) {
	acknowledged := newWritten()
	at := func(offset, number int64) *kgo.Record {
		return &kgo.Record{Topic: "t", Partition: 3, Offset: offset, Value: value(3, 1, number)}
	}
	acknowledged.add(t, at(0, 10), 10)
	acknowledged.add(t, at(1, 11), 11)
	if err := acknowledged.check(at(1, 11)); err != nil {
		t.Error(err)
	}
	damaged := at(1, 11)
	damaged.Value[len(damaged.Value)/2] ^= 1
	foreign := at(1, 11)
	foreign.Partition = 4
	for what, record := range map[string]*kgo.Record{
		"another record": at(1, 10), "one never acknowledged": at(2, 12), "a flipped bit": damaged, "another partition's": foreign,
		"an empty one": {Topic: "t", Partition: 3, Offset: 1},
	} {
		if acknowledged.check(record) == nil {
			t.Errorf("%s was taken for the right one", what)
		}
	}
	reader := position{offset: 5, epoch: 2}
	if reader.advance(&kgo.Record{Offset: 5, LeaderEpoch: 2}) == nil || reader.advance(&kgo.Record{Offset: 6, LeaderEpoch: 1}) == nil {
		t.Error("a repeated offset or an older leader epoch was taken")
	}
}

func from(name string, offset kgo.Offset) kgo.Opt {
	all := map[int32]kgo.Offset{}
	for partition := range int32(partitions) {
		all[partition] = offset
	}
	return kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{name: all})
}

func TestEveryRecordIsReadOnceAndInOrder(t *testing.T) {
	count := recordCount(t)
	name := topic(t)
	acknowledged := fill(t, name, count)
	at, seen := starts(), 0
	read(t, client(t, from(name, kgo.NewOffset().AtStart())), func() bool { return seen == count }, func(record *kgo.Record) error {
		seen++
		if record.Offset != at[record.Partition].offset+1 {
			return fmt.Errorf("%s came after offset %d", place(record), at[record.Partition].offset)
		}
		if err := at[record.Partition].advance(record); err != nil {
			return err
		}
		return acknowledged.check(record)
	})
}

func TestRandomReadsFindTheRecordsOfTheirOffsets(t *testing.T) {
	name := topic(t)
	acknowledged := fill(t, name, recordCount(t))
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 100 {
				partition := int32(rand.IntN(partitions))
				offset := rand.Int64N(int64(len(acknowledged.at[partition])))
				reader, err := kgo.NewClient(kgo.SeedBrokers(os.Getenv("VERIFIER_BROKERS")), kgo.FetchMaxPartitionBytes(int32(1+rand.IntN(100_000))),
					kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{name: {partition: kgo.NewOffset().At(offset)}}))
				if err != nil {
					t.Error(err)
					return
				}
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				fetched := reader.PollFetches(ctx)
				cancel()
				if err := fetched.Err(); err != nil {
					t.Errorf("%s-%d@%d: %v", name, partition, offset, err)
				}
				for _, record := range fetched.Records() {
					if record.Offset != offset {
						t.Errorf("%s came, %d was next", place(record), offset)
					}
					if err := acknowledged.check(record); err != nil {
						t.Error(err)
					}
					offset++
				}
				reader.Close()
			}
		})
	}
	readers.Wait()
}

func TestMembersOfAGroupThatComeAndGoReadEverything(t *testing.T) {
	count := recordCount(t)
	name := topic(t)
	acknowledged := fill(t, name, count)
	group := "readers-of-" + name
	var mutex sync.Mutex
	unread := map[[2]int64]struct{}{}
	for partition, offsets := range acknowledged.at {
		for offset := range offsets {
			unread[[2]int64{int64(partition), offset}] = struct{}{}
		}
	}
	var members sync.WaitGroup
	for number := range 4 {
		members.Go(func() {
			for generation := 0; ; generation++ {
				member, err := kgo.NewClient(kgo.SeedBrokers(os.Getenv("VERIFIER_BROKERS")), kgo.ConsumerGroup(group), kgo.ConsumeTopics(name),
					kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit(), kgo.FetchMaxPartitionBytes(50_000), kgo.BlockRebalanceOnPoll())
				if err != nil {
					t.Error(err)
					return
				}
				// All but one leave after a few polls and come again, which moves their partitions.
				for polls := 0; number == 0 || polls < 5+number; polls++ {
					ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
					fetched := member.PollFetches(ctx)
					cancel()
					mutex.Lock()
					fetched.EachRecord(func(record *kgo.Record) {
						if err := acknowledged.check(record); err != nil {
							t.Error(err)
						}
						delete(unread, [2]int64{int64(record.Partition), record.Offset})
					})
					done := len(unread) == 0
					mutex.Unlock()
					if err := member.CommitUncommittedOffsets(context.Background()); err != nil {
						t.Logf("member %d: %v", number, err)
					}
					member.AllowRebalance()
					if done || t.Failed() {
						member.Close()
						return
					}
				}
				member.Close()
			}
		})
	}
	members.Wait()
	if len(unread) > 0 {
		t.Errorf("%d records were not read by any member", len(unread))
	}
}

func TestReadersOfCommittedRecordsSeeNoAbortedOne(t *testing.T) {
	name := topic(t)
	const transactions = 200
	committed := map[[2]int64]struct{}{}
	var mutex sync.Mutex
	var writers sync.WaitGroup
	for writer := range uint32(4) {
		producer := client(t, kgo.TransactionalID(fmt.Sprintf("%s-%d", name, writer)), kgo.ProducerBatchCompression(codecs[writer]))
		writers.Go(func() {
			number := int64(0)
			for range transactions / 4 {
				if err := producer.BeginTransaction(); err != nil {
					t.Error(err)
					return
				}
				keep := rand.IntN(3) > 0
				first := number
				for range 1 + rand.IntN(50) {
					partition := int32(rand.IntN(partitions))
					made := &kgo.Record{Topic: name, Partition: partition, Value: value(partition, writer, number)}
					if keep {
						mutex.Lock()
						committed[[2]int64{int64(writer), number}] = struct{}{}
						mutex.Unlock()
					}
					number++
					producer.Produce(context.Background(), made, func(_ *kgo.Record, err error) {
						if err != nil {
							t.Error(err)
						}
					})
				}
				if err := producer.Flush(context.Background()); err != nil {
					t.Error(err)
				}
				if err := producer.EndTransaction(context.Background(), kgo.TransactionEndTry(keep)); err != nil {
					t.Errorf("transaction of records %d to %d: %v", first, number-1, err)
				}
			}
		})
	}
	writers.Wait()
	at, left := starts(), len(committed)
	// All transactions are over: readers of committed records get exactly these, readers of all also the others.
	reader := client(t, from(name, kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	read(t, reader, func() bool { return left == 0 }, func(record *kgo.Record) error {
		if err := at[record.Partition].advance(record); err != nil {
			return err
		}
		writer, number, err := parse(record)
		if err != nil {
			return err
		}
		which := [2]int64{int64(writer), number}
		if _, kept := committed[which]; !kept {
			return fmt.Errorf("%s: record %d of writer %d was aborted or comes a second time", place(record), number, writer)
		}
		delete(committed, which)
		left--
		return nil
	})
}

func TestCompactionKeepsTheLastValueOfEveryKey(t *testing.T) {
	count := recordCount(t)
	name := topic(t, "cleanup.policy", "compact", "min.cleanable.dirty.ratio", "0.01", "segment.ms", "1000", "delete.retention.ms", "60000")
	producer := client(t, kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	const keys = 500
	last := map[string]int64{}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	// Readers go through the topic again and again while it is written and compacted.
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for ctx.Err() == nil {
				reader := client(t, from(name, kgo.NewOffset().AtStart()))
				at := starts()
				for ctx.Err() == nil {
					poll, stop := context.WithTimeout(ctx, 300*time.Millisecond)
					fetched := reader.PollFetches(poll)
					stop()
					if fetched.NumRecords() == 0 {
						break
					}
					fetched.EachRecord(func(record *kgo.Record) {
						if err := at[record.Partition].advance(record); err != nil {
							t.Error(err)
						}
						if _, number, err := parse(record); err != nil {
							t.Error(err)
						} else if string(record.Key) != fmt.Sprint(number%keys) {
							t.Errorf("%s: key %s of record %d", place(record), record.Key, number)
						}
					})
				}
				reader.Close()
			}
		})
	}
	for number := range int64(count) {
		key := fmt.Sprint(number % keys)
		partition := int32(number % keys % partitions)
		last[key] = number
		producer.Produce(ctx, &kgo.Record{Topic: name, Partition: partition, Key: []byte(key), Value: value(partition, 0, number)}, func(record *kgo.Record, err error) {
			if err != nil {
				t.Errorf("record %d: %v", number, err)
			}
		})
	}
	if err := producer.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * time.Second)
	cancel()
	readers.Wait()
	seen := map[string]int64{}
	records := 0
	read(t, client(t, from(name, kgo.NewOffset().AtStart())), func() bool { return len(seen) == keys && equal(seen, last) }, func(record *kgo.Record) error {
		_, number, err := parse(record)
		seen[string(record.Key)] = number
		records++
		return err
	})
	t.Logf("%d of %d records were left to read", records, count)
}

func equal(one, other map[string]int64) bool {
	for key, number := range one {
		if other[key] != number {
			return false
		}
	}
	return true
}
