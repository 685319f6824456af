package controller

import (
	"strings"

	"holdfast/internal/kafka"
)

// TopicNameMax is the longest name of a topic in bytes. With the partition's
// number it has to be a directory's name.
const TopicNameMax = 249

// ValidateTopicName refuses a name that no topic may have. The error is an
// *Error.
func ValidateTopicName(name string) error {
	if e := checkTopicName(name); e != nil {
		return e
	}
	return nil
}

func checkTopicName(name string) *Error {
	const code = kafka.ErrInvalidTopicException
	switch {
	case name == "":
		return refuse(code, "a topic needs a name")
	case name == "." || name == "..":
		return refuse(code, "%q cannot be the name of a topic", name)
	case len(name) > TopicNameMax:
		return refuse(code, "the name has %d characters, at most %d are allowed", len(name), TopicNameMax)
	}
	for _, c := range []byte(name) {
		if !isNameByte(c) {
			return refuse(code, "%q has a character other than letters, digits, '.', '_' and '-'", clip(name))
		}
	}
	return nil
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-'
}

// folded is what the names of two topics must not have in common: metrics write
// both '.' and '_' as '_'.
func folded(name string) string { return strings.ReplaceAll(name, ".", "_") }
