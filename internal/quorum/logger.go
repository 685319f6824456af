package quorum

import (
	"fmt"
	"log/slog"

	"go.etcd.io/raft/v3"
)

// logger passes the library's lines on. What it calls information is of interest
// to its authors only. Its panics stay panics: it found its own rules broken.
type logger struct{ log *slog.Logger }

var _ raft.Logger = logger{}

func (l logger) Debug(v ...any)                   {}
func (l logger) Debugf(format string, v ...any)   {}
func (l logger) Info(v ...any)                    { l.log.Debug("raft: " + fmt.Sprint(v...)) }
func (l logger) Infof(format string, v ...any)    { l.log.Debug("raft: " + fmt.Sprintf(format, v...)) }
func (l logger) Warning(v ...any)                 { l.log.Warn("raft: " + fmt.Sprint(v...)) }
func (l logger) Warningf(format string, v ...any) { l.log.Warn("raft: " + fmt.Sprintf(format, v...)) }
func (l logger) Error(v ...any)                   { l.log.Error("raft: " + fmt.Sprint(v...)) }
func (l logger) Errorf(format string, v ...any)   { l.log.Error("raft: " + fmt.Sprintf(format, v...)) }
func (l logger) Fatal(v ...any)                   { panic("raft: " + fmt.Sprint(v...)) }
func (l logger) Fatalf(format string, v ...any)   { panic("raft: " + fmt.Sprintf(format, v...)) }
func (l logger) Panic(v ...any)                   { panic("raft: " + fmt.Sprint(v...)) }
func (l logger) Panicf(format string, v ...any)   { panic("raft: " + fmt.Sprintf(format, v...)) }
