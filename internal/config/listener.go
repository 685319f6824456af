package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Listener is one named door of the broker.
type Listener struct {
	Name     string // upper case, as clients of Kafka know it
	Protocol string // security protocol; PLAINTEXT
	Bind     Endpoint
	// Advertised is what clients are told to connect to. Its port is 0 exactly when
	// the listener's is: the port becomes known when the listener is open.
	Advertised Endpoint
}

// Endpoint is a host and a port. An empty host is every interface; port 0 is
// any free one.
type Endpoint struct {
	Host string
	Port int
}

// String is HOST:PORT, with brackets around an IPv6 address.
func (e Endpoint) String() string {
	if strings.Contains(e.Host, ":") {
		return "[" + e.Host + "]:" + strconv.Itoa(e.Port)
	}
	return e.Host + ":" + strconv.Itoa(e.Port)
}

// Wildcard reports whether the host stands for every interface.
func (e Endpoint) Wildcard() bool {
	if e.Host == "" {
		return true
	}
	addr, err := netip.ParseAddr(e.Host)
	return err == nil && addr.IsUnspecified()
}

// Loopback reports whether the host is this machine only.
func (e Endpoint) Loopback() bool {
	if e.Host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(e.Host)
	return err == nil && addr.IsLoopback()
}

// String is NAME://HOST:PORT.
func (l Listener) String() string { return l.Name + "://" + l.Bind.String() }

// ParseEndpoint reads HOST:PORT, with an IPv6 address in brackets.
func ParseEndpoint(text string) (Endpoint, error) {
	i := strings.LastIndexByte(text, ':')
	if i < 0 {
		return Endpoint{}, fmt.Errorf("%q has no port; want HOST:PORT", clip(text))
	}
	host := text[:i]
	port, err := strconv.ParseUint(text[i+1:], 10, 16)
	if err != nil {
		return Endpoint{}, fmt.Errorf("%q is not a port from 0 to 65535", clip(text[i+1:]))
	}
	inner, bracketed := strings.CutPrefix(host, "[")
	if bracketed {
		if inner, bracketed = strings.CutSuffix(inner, "]"); !bracketed {
			return Endpoint{}, fmt.Errorf("%q lacks a closing bracket", clip(host))
		}
		host = inner
	}
	if strings.ContainsAny(host, "[]/ \t@?#") || (strings.Contains(host, ":") && !bracketed) {
		return Endpoint{}, fmt.Errorf("%q is not a host; an IPv6 address stands in brackets", clip(host))
	}
	return Endpoint{Host: host, Port: int(port)}, nil
}

// named is one NAME://HOST:PORT of a list.
type named struct {
	name string
	at   Endpoint
}

func parseNamed(item string) (named, error) {
	name, rest, ok := strings.Cut(item, "://")
	if !ok {
		return named{}, fmt.Errorf("%q: want NAME://HOST:PORT, for example PLAINTEXT://127.0.0.1:9092", clip(item))
	}
	name = strings.ToUpper(name)
	if name == "" || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") != "" {
		return named{}, fmt.Errorf("%q is not a listener name; want letters, digits and _", clip(name))
	}
	at, err := ParseEndpoint(rest)
	if err != nil {
		return named{}, fmt.Errorf("listener %s: %w", name, err)
	}
	return named{name: name, at: at}, nil
}

// parseNamedList reads a whole list, in which no name and no fixed address
// appears twice.
func parseNamedList(items []string) ([]named, error) {
	var list []named
	for _, item := range items {
		n, err := parseNamed(item)
		if err != nil {
			return nil, err
		}
		for _, other := range list {
			if other.name == n.name {
				return nil, fmt.Errorf("listener %s appears twice", n.name)
			}
		}
		list = append(list, n)
	}
	return list, nil
}

// parseProtocols reads listener.security.protocol.map.
func parseProtocols(items []string) (map[string]string, error) {
	protocols := make(map[string]string, len(items))
	for _, item := range items {
		name, protocol, ok := strings.Cut(item, ":")
		if !ok {
			return nil, fmt.Errorf("%q: want NAME:PROTOCOL", clip(item))
		}
		protocols[strings.ToUpper(strings.TrimSpace(name))] = strings.ToUpper(strings.TrimSpace(protocol))
	}
	return protocols, nil
}

// listenerSettings are the texts that listeners are made of.
type listenerSettings struct {
	listeners, advertised, protocols []string
	controllers                      []string // names whose listeners are not opened
	hostname                         string   // of this machine; advertised where a wildcard listens
}

// resolve makes the listeners. Every error is in plain words and names the
// setting to change.
func (s listenerSettings) resolve() ([]Listener, *ValueError) {
	binds, err := parseNamedList(s.listeners)
	if err != nil {
		return nil, &ValueError{Key: "listeners", Cause: err.Error()}
	}
	advertised, err := parseNamedList(s.advertised)
	if err != nil {
		return nil, &ValueError{Key: "advertised.listeners", Cause: err.Error()}
	}
	protocols, err := parseProtocols(s.protocols)
	if err != nil {
		return nil, &ValueError{Key: "listener.security.protocol.map", Cause: err.Error()}
	}
	var list []Listener
	for _, bind := range binds {
		if s.controller(bind.name) {
			continue
		}
		l := Listener{Name: bind.name, Protocol: protocols[bind.name], Bind: bind.at}
		if refusal := l.refuseProtocol(); refusal != nil {
			return nil, refusal
		}
		var refusal *ValueError
		if l.Advertised, refusal = s.advertise(l, advertised); refusal != nil {
			return nil, refusal
		}
		list = append(list, l)
	}
	if len(list) == 0 {
		return nil, &ValueError{Key: "listeners", Value: strings.Join(s.listeners, ","), Cause: "no listener for clients is left"}
	}
	return list, s.refuseStray(advertised, binds)
}

func (s listenerSettings) controller(name string) bool {
	for _, c := range s.controllers {
		if strings.EqualFold(c, name) {
			return true
		}
	}
	return false
}

func (l Listener) refuseProtocol() *ValueError {
	switch l.Protocol {
	case "PLAINTEXT":
		return nil
	case "":
		return &ValueError{Key: "listener.security.protocol.map", Cause: fmt.Sprintf("it does not name listener %s; add %s:PLAINTEXT", l.Name, l.Name)}
	case "SSL", "SASL_PLAINTEXT", "SASL_SSL":
		return &ValueError{Key: "listeners", Value: l.String(), Cause: fmt.Sprintf(
			"security protocol %s is not supported yet, and opening the listener without it would expose what it protects; only PLAINTEXT is", l.Protocol)}
	}
	return &ValueError{Key: "listener.security.protocol.map", Value: clip(l.Protocol), Cause: "unknown security protocol; only PLAINTEXT is supported yet"}
}

// advertise decides what clients of a listener are told.
func (s listenerSettings) advertise(l Listener, advertised []named) (Endpoint, *ValueError) {
	for _, a := range advertised {
		if a.name != l.Name {
			continue
		}
		if a.at.Wildcard() {
			return Endpoint{}, &ValueError{Key: "advertised.listeners", Value: a.name + "://" + a.at.String(),
				Cause: "clients cannot connect to a wildcard; name the host that they know this machine by"}
		}
		if a.at.Port == 0 && l.Bind.Port != 0 {
			a.at.Port = l.Bind.Port
		}
		return a.at, nil
	}
	at := l.Bind
	if at.Wildcard() {
		at.Host = s.hostname
	}
	if at.Host == "" {
		return Endpoint{}, &ValueError{Key: "advertised.listeners", Cause: fmt.Sprintf(
			"listener %s is open on every interface, and this machine has no host name; say %s://HOST:%d", l.Name, l.Name, l.Bind.Port)}
	}
	return at, nil
}

// refuseStray refuses an advertised name that no listener has.
func (s listenerSettings) refuseStray(advertised, binds []named) *ValueError {
	for _, a := range advertised {
		known := s.controller(a.name)
		for _, b := range binds {
			known = known || a.name == b.name
		}
		if !known {
			return &ValueError{Key: "advertised.listeners", Value: a.name, Cause: "no listener has that name"}
		}
	}
	return nil
}
