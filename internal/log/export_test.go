package log

// Mutant plants a fault of recovery.
func (o Options) Mutant(m uint8) Options {
	o.mutant = mutant(m)
	return o
}

// The planted faults.
const (
	CutFirst       = uint8(cutFirst)
	SkipSync       = uint8(skipSync)
	TrustPages     = uint8(trustPages)
	IgnoreExtents  = uint8(ignoreExtents)
	IgnoreDurable  = uint8(ignoreDurable)
	DropNothing    = uint8(dropNothing)
	ForgetProducer = uint8(forgetProducer)
)

// FileName is the name of a file of a segment.
var FileName = fileName
