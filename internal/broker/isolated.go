package broker

// Isolate tells that nothing was heard of the controller for a whole session, or that
// it answers again. While it does not, somebody else may lead what this broker led:
// partitions with other members in their ISR take no writes, and who waits for an
// acknowledgement is told to look elsewhere. It changes no promise, and it never
// waits. A partition whose ISR is this broker alone goes on: nobody else can lead it.
func (b *Broker) Isolate(isolated bool) {
	if b.isolated.Swap(isolated) == isolated {
		return
	}
	b.mu.Lock()
	b.mu.candidates = true // have every led partition looked at
	if b.mu.next == nil {
		b.mu.next = b.mu.last
	}
	b.mu.Unlock()
	b.poke()
}
