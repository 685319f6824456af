package bin

import "math"

// Unlimited is the budget of a Reader whose input is trusted.
const Unlimited = math.MaxInt

// chunkMax is the largest number of strings in one chunk of string headers.
const chunkMax = 64

// Limit sets the bytes that reads from now on may cause to be allocated.
// A new Reader is unlimited.
func (r *Reader) Limit(budget int) { r.budget = budget }

// Charge takes the memory of count elements of size bytes from the budget and
// reports whether it was there. The charge is a quarter above the plain
// product, because the allocator rounds up to its size classes. Both numbers
// must not be negative; count must already be bounded by the input.
func (r *Reader) Charge(count, size int) bool {
	cost := count * size
	cost += cost >> 2
	if cost > r.budget {
		r.fail(ErrBudget)
		return false
	}
	r.budget -= cost
	return true
}

// text copies b into a string, charged.
func (r *Reader) text(b []byte) string {
	if len(b) == 0 || !r.Charge(1, max(len(b), 8)) {
		return ""
	}
	return string(b)
}

// textPointer is text behind a pointer. The string headers come from chunks
// that grow with use, because one small allocation per nullable string would
// cost more time than the rest of the decoding.
func (r *Reader) textPointer(b []byte) *string {
	if r.chunkLeft == 0 {
		r.chunkSize = min(max(1, 2*r.chunkSize), chunkMax)
		if !r.Charge(r.chunkSize, 16) {
			return nil
		}
		r.chunk = make([]string, r.chunkSize)
		r.chunkLeft = r.chunkSize
	}
	p := &r.chunk[len(r.chunk)-r.chunkLeft]
	r.chunkLeft--
	*p = r.text(b)
	return p
}
