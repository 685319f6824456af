package controller

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"holdfast/internal/kafka"
)

// A command on its way to the controller that leads, and the reply on its way
// back, are JSON: rare, small, and readable where they are logged. A command
// carries its type's name:
//
//	{"version":1,"type":"CreateTopics","command":{"Topics":[...]}}
//
// A field that the receiver does not know is refused in a command, because the
// wish behind it would not be fulfilled, and ignored in a reply. So a new field of
// a command has omitzero and is set only where the feature level allows it.
const codecVersion = 1

// Bounds of an encoded command or reply.
const (
	CommandBytesMax = 15 << 20
	ReplyBytesMax   = 15 << 20
	// jsonValuesMax bounds the values in an encoding: an empty one takes three
	// bytes there and a hundred in memory.
	jsonValuesMax = 500_000
)

// decoders has the types that a command can have, by name.
var decoders = map[string]func(json.RawMessage) (Command, error){
	"AllocateProducerIDs": decodeBody[AllocateProducerIDs],
	"AlterConfigs":        decodeBody[AlterConfigs],
	"AlterISR":            decodeBody[AlterISR],
	"AlterReassignments":  decodeBody[AlterReassignments],
	"BalanceLeaders":      decodeBody[BalanceLeaders],
	"CancelReassignments": decodeBody[CancelReassignments],
	"CreatePartitions":    decodeBody[CreatePartitions],
	"CreateTopics":        decodeBody[CreateTopics],
	"DeleteTopics":        decodeBody[DeleteTopics],
	"ElectLeaders":        decodeBody[ElectLeaders],
	"EnsureReplication":   decodeBody[EnsureReplication],
	"FenceBroker":         decodeBody[FenceBroker],
	"ForceRecovery":       decodeBody[ForceRecovery],
	"Heartbeat":           decodeBody[Heartbeat],
	"RecoverPartitions":   decodeBody[RecoverPartitions],
	"RegisterBroker":      decodeBody[RegisterBroker],
	"ReportLost":          decodeBody[ReportLost],
	"UnregisterBroker":    decodeBody[UnregisterBroker],
}

// envelope is what an encoded command begins with.
type envelope struct {
	Version int             `json:"version"`
	Type    string          `json:"type"`
	Command json.RawMessage `json:"command"`
}

// IsRepeatable reports whether a command whose outcome is unknown can be given
// again: it names the state that it starts from, so that the second time changes
// nothing that the first has changed. A refusal the second time says nothing about
// the first.
func IsRepeatable(command Command) bool {
	switch command.(type) {
	case RegisterBroker, Heartbeat, FenceBroker, AlterISR:
		return true
	}
	return false
}

// Refuses reports whether a reply holds a refusal that an earlier attempt of the
// same command, which may still be on its way, could prove wrong. A leader that
// believed it would count its old in-sync replicas while the new ones are committed.
func Refuses(reply Reply) bool { return slices.ContainsFunc(reply.ISR, ISRResult.Refused) }

// EncodeCommand is what DecodeCommand reads. An *Error refuses what is too large or
// cannot be told exactly, such as text that is no UTF-8.
func EncodeCommand(command Command) ([]byte, error) {
	name := reflect.TypeOf(command).Name()
	decode, known := decoders[name]
	if !known {
		return nil, fmt.Errorf("encode command of type %T: it has no decoder", command)
	}
	body, err := json.Marshal(command)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", name, err)
	}
	b, err := json.Marshal(envelope{Version: codecVersion, Type: name, Command: body})
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", name, err)
	}
	if len(b) > CommandBytesMax {
		return nil, refuse(kafka.ErrPolicyViolation, "the request takes %d bytes on its way to the controller, at most %d at once", len(b), CommandBytesMax)
	}
	// JSON replaces what is no UTF-8: another command than the one that was given
	// must not be carried out.
	again, err := decode(body)
	if err != nil || !reflect.DeepEqual(again, command) {
		return nil, refuse(kafka.ErrInvalidRequest, "the request holds text that is not valid UTF-8")
	}
	return b, nil
}

// DecodeCommand reads a command that another broker sent. An *Error says what is
// wrong with it.
func DecodeCommand(b []byte) (Command, error) {
	if err := checkJSON(b, CommandBytesMax); err != nil {
		return nil, err
	}
	var e envelope
	if err := unmarshalStrictly(b, &e); err != nil {
		return nil, refuse(kafka.ErrInvalidRequest, "decode command: %s", clip(err.Error()))
	}
	decode, known := decoders[e.Type]
	if !known || e.Version != codecVersion {
		return nil, refuse(kafka.ErrUnsupportedVersion, "command %q of version %d is not known to the controller: its program is older", clip(e.Type), e.Version)
	}
	command, err := decode(e.Command)
	if err != nil {
		return nil, refuse(kafka.ErrInvalidRequest, "decode %s: %s", e.Type, clip(err.Error()))
	}
	return command, nil
}

func decodeBody[T Command](body json.RawMessage) (Command, error) {
	var command T
	if err := unmarshalStrictly(body, &command); err != nil {
		return nil, err
	}
	return command, nil
}

// unmarshalStrictly refuses fields that are not known and bytes that are left.
func unmarshalStrictly(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if rest := bytes.TrimSpace(b[d.InputOffset():]); len(rest) > 0 {
		return fmt.Errorf("%d bytes behind the end", len(rest))
	}
	return nil
}

// EncodeReply is what DecodeReply reads.
func EncodeReply(reply Reply) ([]byte, error) {
	b, err := json.Marshal(reply)
	if err != nil {
		return nil, fmt.Errorf("encode reply: %w", err)
	}
	if len(b) > ReplyBytesMax {
		return nil, fmt.Errorf("encode reply: %d bytes, at most %d", len(b), ReplyBytesMax)
	}
	return b, nil
}

// DecodeReply reads the reply of another broker's controller.
func DecodeReply(b []byte) (Reply, error) {
	if err := checkJSON(b, ReplyBytesMax); err != nil {
		return Reply{}, err
	}
	var reply Reply
	if err := json.Unmarshal(b, &reply); err != nil {
		return Reply{}, fmt.Errorf("decode reply: %s", clip(err.Error()))
	}
	return reply, nil
}

// checkJSON bounds what decoding b can cost before it is decoded.
func checkJSON(b []byte, most int) error {
	if len(b) > most {
		return refuse(kafka.ErrInvalidRequest, "an encoding of %d bytes, at most %d", len(b), most)
	}
	values, quoted, escaped := 1, false, false
	for _, c := range b {
		switch {
		case escaped:
			escaped = false
		case quoted:
			escaped, quoted = c == '\\', c != '"'
		case c == '"':
			quoted = true
		case strings.IndexByte("[{,", c) >= 0:
			values++
		}
	}
	if values > jsonValuesMax {
		return refuse(kafka.ErrInvalidRequest, "an encoding of %d values, at most %d", values, jsonValuesMax)
	}
	return nil
}
