// Drives a broker with franz-go: every codec, headers, idempotence, a group that is rebalanced, and a stream that goes
// on while the broker is killed. Ends with 1 and a sentence at the first difference.
//
//	franz codecs BROKERS          what is produced in each codec is consumed as it was
//	franz group  BROKERS          members come and go, and each record is given to one of them
//	franz stream BROKERS COUNT    COUNT numbered records, each there once and in order; says "acknowledged N" as it goes
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const patience = 50 * time.Second

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := errors.New("usage: franz codecs|group|stream BROKERS [COUNT]")
	if len(os.Args) > 2 {
		brokers := kgo.SeedBrokers(strings.Split(os.Args[2], ",")...)
		switch os.Args[1] {
		case "codecs":
			err = codecs(ctx, brokers)
		case "group":
			err = group(ctx, brokers)
		case "stream":
			err = stream(ctx, brokers, os.Args[3:])
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "franz:", err)
		os.Exit(1)
	}
}

// numbered makes records that differ in everything that a record can differ in.
func numbered(topic string, count int) []*kgo.Record {
	records := make([]*kgo.Record, count)
	for i := range records {
		record := &kgo.Record{Topic: topic, Partition: 0, Timestamp: time.UnixMilli(1_700_000_000_000 + int64(i))}
		if i%3 != 0 {
			record.Key = []byte(fmt.Sprintf("key-%d", i))
		}
		switch i % 5 {
		case 0: // A tombstone.
		case 1:
			record.Value = []byte{}
		case 2:
			record.Value = []byte{0xff, 0xfe, '\n', 0, byte(i)}
		default:
			record.Value = bytes.Repeat([]byte(strconv.Itoa(i)+" "), i%200)
		}
		for header := range i % 4 {
			record.Headers = append(record.Headers, kgo.RecordHeader{Key: fmt.Sprintf("h%d", header), Value: []byte{byte(i), byte(header)}})
		}
		records[i] = record
	}
	return records
}

func codecs(ctx context.Context, brokers kgo.Opt) error {
	kinds := []struct {
		name  string
		codec kgo.CompressionCodec
	}{
		{"none", kgo.NoCompression()}, {"gzip", kgo.GzipCompression()}, {"snappy", kgo.SnappyCompression()},
		{"lz4", kgo.Lz4Compression()}, {"zstd", kgo.ZstdCompression()},
	}
	for number, kind := range kinds {
		topic := "franz-" + kind.name
		client, err := kgo.NewClient(brokers, kgo.AllowAutoTopicCreation(), kgo.ProducerBatchCompression(kind.codec),
			kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		if err != nil {
			return err
		}
		sent := numbered(topic, 2000)
		if err := client.ProduceSync(ctx, sent...).FirstErr(); err != nil {
			return fmt.Errorf("%s: produce: %w", kind.name, err)
		}
		got, err := take(ctx, client, len(sent))
		if err != nil {
			return fmt.Errorf("%s: consume: %w", kind.name, err)
		}
		for i, record := range got {
			if err := differs(sent[i], record, int64(i)); err != nil {
				return fmt.Errorf("%s: record %d: %w", kind.name, i, err)
			}
			if found := record.Attrs.CompressionType(); found != uint8(number) {
				return fmt.Errorf("%s: record %d is stored in codec %d", kind.name, i, found)
			}
		}
		client.Close()
	}
	return nil
}

// take consumes count records.
func take(ctx context.Context, client *kgo.Client, count int) ([]*kgo.Record, error) {
	var got []*kgo.Record
	for len(got) < count {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("after %d of %d records: %w", len(got), count, err)
		}
		got = append(got, fetches.Records()...)
	}
	if len(got) > count {
		return nil, fmt.Errorf("%d records, and %d were sent", len(got), count)
	}
	return got, nil
}

func differs(sent, got *kgo.Record, offset int64) error {
	same := func(one, other []byte) bool { return (one == nil) == (other == nil) && bytes.Equal(one, other) }
	switch {
	case got.Offset != offset:
		return fmt.Errorf("offset %d", got.Offset)
	case !same(sent.Key, got.Key):
		return fmt.Errorf("key %q became %q", sent.Key, got.Key)
	case !same(sent.Value, got.Value):
		return fmt.Errorf("value %q became %q", sent.Value, got.Value)
	case !sent.Timestamp.Equal(got.Timestamp):
		return fmt.Errorf("time %v became %v", sent.Timestamp, got.Timestamp)
	case len(sent.Headers) != len(got.Headers):
		return fmt.Errorf("%d headers became %d", len(sent.Headers), len(got.Headers))
	}
	for i, header := range sent.Headers {
		if header.Key != got.Headers[i].Key || !same(header.Value, got.Headers[i].Value) {
			return fmt.Errorf("header %v became %v", header, got.Headers[i])
		}
	}
	return nil
}

// seen is what the members of a group were given together.
type seen struct {
	mutex  sync.Mutex
	values map[string]string
	twice  error
}

func (s *seen) add(member string, record *kgo.Record) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	value := string(record.Value)
	if before, is := s.values[value]; is && s.twice == nil {
		s.twice = fmt.Errorf("%s was given to %s and to %s", value, before, member)
	}
	s.values[value] = member
}

func (s *seen) by(member string) int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	count := 0
	for _, by := range s.values {
		if by == member {
			count++
		}
	}
	return count
}

// until waits until count records were given out.
func (s *seen) until(ctx context.Context, count int) error {
	for {
		s.mutex.Lock()
		have, twice := len(s.values), s.twice
		s.mutex.Unlock()
		if twice != nil || have > count {
			return errors.Join(twice, fmt.Errorf("%d of %d records were given out", have, count))
		}
		if have == count {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d records were given out in time", have, count)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// member is in the group until it is told to leave.
type member struct {
	name   string
	client *kgo.Client
	done   chan error
	mutex  sync.Mutex
	owned  map[int32]bool
}

func (m *member) owns() int {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return len(m.owned)
}

func join(ctx context.Context, brokers kgo.Opt, name, topic string, balancer kgo.GroupBalancer, all *seen) (*member, error) {
	m := &member{name: name, done: make(chan error, 1), owned: map[int32]bool{}}
	change := func(owned bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, changed map[string][]int32) {
			m.mutex.Lock()
			defer m.mutex.Unlock()
			for _, partition := range changed[topic] {
				delete(m.owned, partition)
				if owned {
					m.owned[partition] = true
				}
			}
		}
	}
	client, err := kgo.NewClient(brokers, kgo.ConsumerGroup("franz-"+topic), kgo.ConsumeTopics(topic), kgo.Balancers(balancer),
		kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.HeartbeatInterval(200*time.Millisecond), kgo.OnPartitionsAssigned(change(true)),
		kgo.OnPartitionsRevoked(change(false)), kgo.OnPartitionsLost(change(false)))
	if err != nil {
		return nil, err
	}
	m.client = client
	go func() {
		for {
			fetches := client.PollFetches(ctx)
			if fetches.IsClientClosed() || ctx.Err() != nil {
				m.done <- ctx.Err()
				return
			}
			if err := fetches.Err(); err != nil {
				m.done <- fmt.Errorf("%s: %w", name, err)
				return
			}
			fetches.EachRecord(func(record *kgo.Record) { all.add(name, record) })
			if err := client.CommitRecords(ctx, fetches.Records()...); err != nil {
				m.done <- fmt.Errorf("%s: commit: %w", name, err)
				return
			}
			client.AllowRebalance()
		}
	}()
	return m, nil
}

func (m *member) leave() error {
	m.client.CloseAllowingRebalance()
	return <-m.done
}

const partitions = 4

// holding waits until each member owns as many partitions as is said of it.
func holding(ctx context.Context, want map[*member]int) error {
	for {
		right := true
		for member, count := range want {
			right = right && member.owns() == count
		}
		if right {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.New("the members never had their partitions")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func group(ctx context.Context, brokers kgo.Opt) error {
	for _, balancer := range []kgo.GroupBalancer{kgo.RangeBalancer(), kgo.CooperativeStickyBalancer()} {
		if err := rebalanced(ctx, brokers, balancer); err != nil {
			return fmt.Errorf("%s: %w", balancer.ProtocolName(), err)
		}
	}
	return nil
}

func rebalanced(ctx context.Context, brokers kgo.Opt, balancer kgo.GroupBalancer) error {
	topic := balancer.ProtocolName()
	producer, err := kgo.NewClient(brokers, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return err
	}
	defer producer.Close()
	if err := create(ctx, producer, topic); err != nil {
		return err
	}
	total := 0
	all := &seen{values: map[string]string{}}
	// One round: records to every partition, and all of them are given out.
	round := func() error {
		var records []*kgo.Record
		for i := range 400 {
			value := fmt.Sprintf("%d-%d", total, i)
			records = append(records, &kgo.Record{Topic: topic, Partition: int32(i % partitions), Value: []byte(value)})
		}
		total += len(records)
		if err := producer.ProduceSync(ctx, records...).FirstErr(); err != nil {
			return err
		}
		return all.until(ctx, total)
	}
	first, err := join(ctx, brokers, "first", topic, balancer, all)
	if err != nil {
		return err
	}
	if err := errors.Join(holding(ctx, map[*member]int{first: partitions}), round()); err != nil {
		return fmt.Errorf("one member: %w", err)
	}
	second, err := join(ctx, brokers, "second", topic, balancer, all)
	if err != nil {
		return err
	}
	half := map[*member]int{first: partitions / 2, second: partitions / 2}
	if err := errors.Join(holding(ctx, half), round()); err != nil {
		return fmt.Errorf("two members: %w", err)
	}
	if all.by("second") != 200 {
		return fmt.Errorf("the second member was given %d of 400", all.by("second"))
	}
	if err := first.leave(); err != nil {
		return fmt.Errorf("the first leaves: %w", err)
	}
	if err := errors.Join(holding(ctx, map[*member]int{second: partitions}), round()); err != nil {
		return fmt.Errorf("the second alone: %w", err)
	}
	if err := second.leave(); err != nil {
		return fmt.Errorf("the second leaves: %w", err)
	}
	// What was committed is not given again.
	third, err := join(ctx, brokers, "third", topic, balancer, all)
	if err != nil {
		return err
	}
	if err := round(); err != nil {
		return fmt.Errorf("a third: %w", err)
	}
	return third.leave()
}

func create(ctx context.Context, client *kgo.Client, topic string) error {
	request := kmsg.NewCreateTopicsRequest()
	wanted := kmsg.NewCreateTopicsRequestTopic()
	wanted.Topic, wanted.NumPartitions, wanted.ReplicationFactor = topic, partitions, 1
	request.Topics = append(request.Topics, wanted)
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(response.Topics[0].ErrorCode)
}

func stream(ctx context.Context, brokers kgo.Opt, arguments []string) error {
	if len(arguments) != 1 {
		return errors.New("stream takes a number of records")
	}
	count, err := strconv.Atoi(arguments[0])
	if err != nil {
		return err
	}
	const topic = "franz-stream"
	client, err := kgo.NewClient(brokers, kgo.AllowAutoTopicCreation(), kgo.ProducerLinger(time.Millisecond),
		kgo.MaxBufferedRecords(500), kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }),
		kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	var mutex sync.Mutex
	var failed error
	acknowledged := 0
	for i := range count {
		record := &kgo.Record{Topic: topic, Value: []byte(strconv.Itoa(i))}
		client.Produce(ctx, record, func(_ *kgo.Record, err error) {
			mutex.Lock()
			defer mutex.Unlock()
			if err != nil && failed == nil {
				failed = fmt.Errorf("record %d: %w", i, err)
			}
			if acknowledged++; acknowledged%1000 == 0 {
				fmt.Println("acknowledged", acknowledged)
			}
		})
		if i%20 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	if err := errors.Join(client.Flush(ctx), failed); err != nil {
		return err
	}
	got, err := take(ctx, client, count)
	if err != nil {
		return err
	}
	for i, record := range got {
		if string(record.Value) != strconv.Itoa(i) || record.Offset != int64(i) {
			return fmt.Errorf("offset %d holds %q, and %d was sent there", record.Offset, record.Value, i)
		}
	}
	return nil
}
