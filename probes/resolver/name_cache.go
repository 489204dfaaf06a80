/*
Copyright 2026 The Farpoint Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package resolver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/egress"
)

// Cache resolves the names in probe URLs and in redirects. Names are absolute: no search
// path is applied, so that a name means the same wherever the operator runs. /etc/hosts comes
// first, as it does for every other program of the Pod (hostAliases), then localhost and the
// names below it, which are the loopback's (RFC 6761, 6.3), then the name servers. Replies are
// kept for their TTL and shared by all probes.
//
// Nothing is kept for longer because a name server fails: a probe whose name cannot be resolved
// says nothing about its endpoint.
type Cache struct {
	lookup func(context.Context, Question) dnsReply
	hosts  *hostsFile
	clock  clock.Clock

	// mu guards what follows. Nothing waits while holding it.
	mu      sync.Mutex
	replies map[Question]*cachedReply
}

// cachedReply is a reply, or the lookup that waits for it.
type cachedReply struct {
	// done is closed when the lookup has ended. What follows is not changed afterwards.
	done    chan struct{}
	reply   dnsReply
	expires time.Time

	// waiting counts the probes that wait for the lookup. When the last one gives up, cancel
	// ends it, so that no probe leaves a goroutine behind.
	waiting int
	cancel  context.CancelFunc
}

const (
	// A reply is valid for its TTL, within these bounds.
	minCacheTTL, maxCacheTTL = time.Second, 5 * time.Minute
	// maxNegativeTTL bounds how long a negative reply is valid: somebody may just have created the
	// record.
	maxNegativeTTL = 30 * time.Second
	// failureTTL is the pause after a failed lookup (RFC 9520, 3.2).
	failureTTL = time.Second
	// resolutionDelay is how long the addresses of one family wait for those of the other
	// (RFC 8305, 3): some name servers never answer one of the questions.
	resolutionDelay = 50 * time.Millisecond
	// maxCachedReplies bounds the memory: redirects may lead to any number of names.
	maxCachedReplies = 20_000
)

// NewCache returns a cache that queries these name servers, or the host's if there are none.
func NewCache(servers []netip.AddrPort) *Cache {
	return &Cache{
		lookup:  newNameServers(resolvConf, servers).lookup,
		hosts:   &hostsFile{path: hostsPath},
		clock:   clock.RealClock{},
		replies: map[Question]*cachedReply{},
	}
}

// LookupError is the error of a name without an address.
type LookupError struct {
	Name    string
	Outcome LookupOutcome
}

func (e *LookupError) Error() string { return fmt.Sprintf("%s: %s", e.Name, e.Outcome) }

// ProbeResult implements probes.ResultError. The result is unknown even if the name does not exist,
// since the endpoint may work.
func (e *LookupError) ProbeResult() probes.Result {
	return probes.UnknownResult(probes.ReasonNameResolution)
}

// NotFound reports whether the name servers have answered that there is no address.
func (e *LookupError) NotFound() bool { return e.Outcome == LookupMissing || e.Outcome == LookupEmpty }

// Addresses returns the addresses of a name, IPv6 and IPv4 alternating, IPv6 first (RFC 8305, 4).
// Its error is a [LookupError], or the context's if that was cancelled.
func (c *Cache) Addresses(ctx context.Context, name string) ([]netip.Addr, error) {
	name = egress.PlainName(name)
	if known := c.hosts.lookup(name); len(known) > 0 {
		return interleave(known), nil
	}
	if isLocalhost(name) {
		return []netip.Addr{netip.IPv6Loopback(), netip.AddrFrom4([4]byte{127, 0, 0, 1})}, nil
	}
	six, four := Question{Name: name, Type: RecordAAAA}, Question{Name: name, Type: RecordA}
	first, second := c.begin(ctx, six), c.begin(ctx, four)
	defer c.leave(six, first)
	defer c.leave(four, second)
	select {
	case <-first.done:
	case <-second.done:
		first, second = second, first
	case <-ctx.Done():
		return nil, lookupExpired(ctx, name)
	}
	var timeout <-chan time.Time
	if first.reply.outcome == LookupFound {
		timer := c.clock.NewTimer(resolutionDelay)
		defer timer.Stop()
		timeout = timer.C()
	}
	select {
	case <-second.done:
		return combine(name, first.reply, second.reply)
	case <-timeout:
		return combine(name, first.reply, dnsReply{})
	case <-ctx.Done():
		return nil, lookupExpired(ctx, name)
	}
}

// lookupExpired is the error of a lookup that outlasts its probe.
func lookupExpired(ctx context.Context, name string) error {
	if err := ctx.Err(); errors.Is(err, context.Canceled) {
		return err
	}
	return &LookupError{name, LookupTimeout}
}

// combine merges the replies for both families. If there is no address, a failed lookup is more
// telling than a negative reply.
func combine(name string, first, second dnsReply) ([]netip.Addr, error) {
	addrs := append(append([]netip.Addr(nil), first.records.Addresses...), second.records.Addresses...)
	switch {
	case len(addrs) > 0:
		return interleave(addrs), nil
	case second.outcome.failed():
		return nil, &LookupError{name, second.outcome}
	case first.outcome.failed():
		return nil, &LookupError{name, first.outcome}
	case first.outcome == LookupEmpty:
		return nil, &LookupError{name, LookupEmpty} // the name exists
	}
	return nil, &LookupError{name, second.outcome}
}

// interleave sorts addresses so that those of IPv6 and of IPv4 alternate, IPv6 first.
func interleave(addrs []netip.Addr) []netip.Addr {
	var six, four []netip.Addr
	for _, addr := range addrs {
		if addr.Unmap().Is4() {
			four = append(four, addr.Unmap())
		} else {
			six = append(six, addr)
		}
	}
	sorted := make([]netip.Addr, 0, len(addrs))
	for len(six)+len(four) > 0 {
		if len(six) > 0 {
			sorted, six = append(sorted, six[0]), six[1:]
		}
		if len(four) > 0 {
			sorted, four = append(sorted, four[0]), four[1:]
		}
	}
	return sorted
}

// begin returns the cached reply to a question, or a lookup under way. Every begin needs a leave.
// The lookup serves all probes that wait for it, and ends when the last one leaves.
func (c *Cache) begin(ctx context.Context, question Question) *cachedReply {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.replies[question]
	if known == nil || known.isDone() && !c.clock.Now().Before(known.expires) {
		c.makeRoom()
		ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		known = &cachedReply{done: make(chan struct{}), cancel: cancel}
		c.replies[question] = known
		go c.ask(ctx, question, known)
	}
	known.waiting++
	return known
}

func (r *cachedReply) isDone() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// leave ends a lookup that no probe waits for any more.
func (c *Cache) leave(question Question, of *cachedReply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	of.waiting--
	if of.waiting > 0 || of.isDone() {
		return
	}
	of.cancel()
	if c.replies[question] == of {
		delete(c.replies, question)
	}
}

// ask asks the name servers.
func (c *Cache) ask(ctx context.Context, question Question, of *cachedReply) {
	defer of.cancel()
	reply := c.lookup(ctx, question)
	ttl := min(max(reply.ttl, minCacheTTL), maxCacheTTL)
	switch {
	case reply.outcome.failed():
		ttl = failureTTL
	case reply.outcome != LookupFound:
		ttl = min(ttl, maxNegativeTTL)
	}
	// These are not read before done is closed.
	of.reply, of.expires = reply, c.clock.Now().Add(ttl)
	close(of.done)
}

// makeRoom removes replies when there are too many: the expired ones, then any.
func (c *Cache) makeRoom() {
	if len(c.replies) < maxCachedReplies {
		return
	}
	now := c.clock.Now()
	for question, reply := range c.replies {
		if reply.isDone() && !now.Before(reply.expires) {
			delete(c.replies, question)
		}
	}
	for question, reply := range c.replies {
		if len(c.replies) < maxCachedReplies/2 {
			return
		}
		if reply.isDone() {
			delete(c.replies, question)
		}
	}
}
