//go:build !linux

package vnet

import (
	"errors"
	"net"
	"os"
)

// CanSendFile reports false: this system's sendfile is not used.
func CanSendFile(net.Conn) bool { return false }

// SendFile is not available here.
func SendFile(net.Conn, *os.File, int64, int64, func(int64)) error {
	return errors.New("send file: not supported on this system")
}

// WriteMore is an ordinary write here.
func WriteMore(c net.Conn, p []byte) error {
	_, err := c.Write(p)
	return err
}
