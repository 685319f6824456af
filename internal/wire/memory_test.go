package wire

import (
	"bytes"
	"strings"
	"testing"
)

// TestAppendAllocatesNothing: given capacity, encoding takes no memory.
func TestAppendAllocatesNothing(t *testing.T) {
	eachMessage(t, func(t *testing.T, fresh func() Message, version int16) {
		m := fresh()
		fillMessage(newFiller(5), m)
		dst := make([]byte, 0, len(m.Append(nil, version)))
		if n := testing.AllocsPerRun(5, func() { dst = m.Append(dst[:0], version) }); n != 0 {
			t.Errorf("version %d: %v allocations", version, n)
		}
	})
}

// TestBytesAreNotCopied: records are the frame's own bytes, fenced off from what
// follows them; names are copies.
func TestBytesAreNotCopied(t *testing.T) {
	v := ProduceRequest{Topics: []ProduceRequestTopic{{
		Topic:      "topic",
		Partitions: []ProduceRequestTopicPartition{{Records: []byte("first")}, {Records: []byte("second")}},
	}}}
	for _, version := range []int16{3, 9, 12} {
		body := v.Append(nil, version)
		var got ProduceRequest
		if err := got.Decode(body, version); err != nil {
			t.Fatal(err)
		}
		first := got.Topics[0].Partitions[0].Records
		if cap(first) != len(first) {
			t.Errorf("version %d: capacity %d behind %d bytes", version, cap(first), len(first))
		}
		at := bytes.Index(body, []byte("first"))
		for i := range body {
			body[i] = '!'
		}
		if &first[0] != &body[at] || string(first) != "!!!!!" {
			t.Errorf("version %d: records were copied", version)
		}
		if got.Topics[0].Topic != "topic" {
			t.Errorf("version %d: the topic's name changed with the frame: %q", version, got.Topics[0].Topic)
		}
	}
}

// TestNullAndEmpty: null and empty are told apart where null is legal, and null
// is refused where it is not.
func TestNullAndEmpty(t *testing.T) {
	for _, topics := range [][]MetadataRequestTopic{nil, {}} {
		v := MetadataRequest{Topics: topics}
		for version := int16(0); version <= 13; version++ {
			var got MetadataRequest
			if err := got.Decode(v.Append(nil, version), version); err != nil {
				t.Fatal(err)
			}
			null := topics == nil && version >= 1
			if (got.Topics == nil) != null {
				t.Errorf("version %d: null %v became %v", version, topics == nil, got.Topics == nil)
			}
		}
	}
	if err := new(MetadataRequest).Decode([]byte{0xff, 0xff, 0xff, 0xff}, 0); err == nil {
		t.Error("null topics in version 0 accepted")
	}
	if err := new(MetadataRequest).Decode([]byte{0xff, 0xff, 0xff, 0xfe}, 1); err == nil {
		t.Error("a length of -2 accepted")
	}
}

// TestLongStrings: a string that an old version cannot carry is cut, so that
// what was stored with a newer client can be shown to an older one.
func TestLongStrings(t *testing.T) {
	long := strings.Repeat("é", 20000)
	v := DescribeConfigsResponse{Resources: []DescribeConfigsResponseResource{{ResourceName: long}}}
	for version, want := range map[int16]string{0: long[:32766], 4: long} {
		var got DescribeConfigsResponse
		if err := got.Decode(v.Append(nil, version), version); err != nil {
			t.Fatal(err)
		}
		if got.Resources[0].ResourceName != want {
			t.Errorf("version %d: %d bytes", version, len(got.Resources[0].ResourceName))
		}
	}
}

// produceRequest is a request with a batch for each of six partitions.
func produceRequest() ProduceRequest {
	v := ProduceRequest{Acks: -1, TimeoutMillis: 30000, Topics: []ProduceRequestTopic{{Topic: "orders", TopicID: [16]byte{1}}}}
	for i := range int32(6) {
		v.Topics[0].Partitions = append(v.Topics[0].Partitions, ProduceRequestTopicPartition{Partition: i, Records: make([]byte, 1024)})
	}
	return v
}

func benchmarkDecode(b *testing.B, m Message, body []byte, version int16) {
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if err := m.Decode(body, version); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeProduce12(b *testing.B) {
	v := produceRequest()
	benchmarkDecode(b, new(ProduceRequest), v.Append(nil, 12), 12)
}

func BenchmarkDecodeProduce13(b *testing.B) {
	v := produceRequest()
	benchmarkDecode(b, new(ProduceRequest), v.Append(nil, 13), 13)
}

func BenchmarkDecodeFetch17(b *testing.B) {
	v := NewFetchRequest()
	v.Topics = []FetchRequestTopic{{TopicID: [16]byte{1}}}
	for i := range int32(6) {
		p := NewFetchRequestTopicPartition()
		p.Partition = i
		v.Topics[0].Partitions = append(v.Topics[0].Partitions, p)
	}
	benchmarkDecode(b, new(FetchRequest), v.Append(nil, 17), 17)
}

// BenchmarkDecodeDense decodes one MiB of the elements that cost most time for
// their size: the promise is 10 ms per MiB.
func BenchmarkDecodeDense(b *testing.B) {
	group := DescribeGroupsRequest{Groups: make([]string, 1<<19)}
	for i := range group.Groups {
		group.Groups[i] = "a"
	}
	pairs := DescribeGroupsRequest{Groups: make([]string, (1<<20)/3)}
	for i := range pairs.Groups {
		pairs.Groups[i] = "aa"
	}
	topics := DeleteTopicsRequest{Topics: make([]DeleteTopicsRequestTopic, (1<<20)/18)}
	configs := CreateTopicsRequest{Topics: []CreateTopicsRequestTopic{{Configs: make([]CreateTopicsRequestTopicConfig, (1<<20)/4)}}}
	two := "two"
	for i := range configs.Topics[0].Configs {
		configs.Topics[0].Configs[i].Value = &two
	}
	configs.Topics[0].Configs = configs.Topics[0].Configs[:(1<<20)/6]
	for name, c := range map[string]struct {
		m       Message
		body    []byte
		version int16
	}{
		"strings": {new(DescribeGroupsRequest), group.Append(nil, 6), 6},
		"pairs":   {new(DescribeGroupsRequest), pairs.Append(nil, 6), 6},
		"topics":  {new(DeleteTopicsRequest), topics.Append(nil, 6), 6},
		"configs": {new(CreateTopicsRequest), configs.Append(nil, 7), 7},
	} {
		b.Run(name, func(b *testing.B) { benchmarkDecode(b, c.m, c.body, c.version) })
	}
}

func BenchmarkAppendProduceResponse(b *testing.B) {
	v := ProduceResponse{Topics: []ProduceResponseTopic{{Topic: "orders"}}}
	for range 6 {
		v.Topics[0].Partitions = append(v.Topics[0].Partitions, NewProduceResponseTopicPartition())
	}
	b.ReportAllocs()
	var dst []byte
	for b.Loop() {
		dst = v.Append(dst[:0], 12)
	}
}
