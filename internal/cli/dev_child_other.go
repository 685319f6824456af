//go:build !linux

package cli

import "syscall"

// childOfDev makes a broker its own process group, so that Ctrl-C reaches it
// through dev only.
func childOfDev() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
