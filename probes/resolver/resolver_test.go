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
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/test/effort"
	"farpoint.dev/farpoint/test/servers"
)

// asker asks the questions of these tests.
var asker = probes.Owner{Namespace: "integration", Name: "legacy-api"}

// oracle is what all name servers in a bubble say, and when they were asked.
type oracle struct {
	mu      sync.Mutex
	replies map[Question]dnsReply
	queries map[Question][]time.Time
	// slow is how long they take, except for the question that is fast.
	slow          time.Duration
	fast          Question
	notifications map[probes.Owner]int
}

func (a *oracle) setReply(question Question, reply dnsReply) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.replies[question] = reply
}

func (a *oracle) lookup(ctx context.Context, question Question) dnsReply {
	a.mu.Lock()
	a.queries[question] = append(a.queries[question], time.Now())
	reply, slow := a.replies[question], a.slow
	if question == a.fast {
		slow = 0
	}
	a.mu.Unlock()
	select {
	case <-time.After(slow):
	case <-ctx.Done():
	}
	return reply
}

func (a *oracle) times(question Question) []time.Time {
	synctest.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.queries[question])
}

func (a *oracle) notified(asker probes.Owner) int {
	synctest.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.notifications[asker]
}

// resolve runs a resolver in a bubble, where hours pass in no time.
func resolve(t *testing.T, test func(*testing.T, *Resolver, *oracle)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a := &oracle{replies: map[Question]dnsReply{}, queries: map[Question][]time.Time{}, notifications: map[probes.Owner]int{}}
		r := New(Options{Log: logr.Discard(), lookup: a.lookup, Notify: func(asker probes.Owner) {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.notifications[asker]++
		}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Start(ctx) }()
		defer func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}()
		test(t, r, a)
	})
}

func (r *Resolver) settled(question Question) Answer {
	synctest.Wait()
	return r.Answer(question)
}

func foundReply(ttl time.Duration, texts ...string) dnsReply {
	return dnsReply{outcome: LookupFound, records: addresses(texts...), ttl: ttl}
}

var (
	dbA    = Question{Name: "db.example", Type: RecordA}
	bounds = TTLBounds{Min: 5 * time.Second, Max: 5 * time.Minute}
	wantDB = []Request{{Question: dbA, TTLBounds: bounds}}
	other  = probes.Owner{Namespace: "other", Name: "object"}
)

func TestChangesAreFoundWithinTheTTL(t *testing.T) {
	for _, test := range []struct {
		name          string
		ttl, from, to time.Duration
	}{
		{"within the bounds", time.Minute, 57 * time.Second, time.Minute},
		{"below", time.Second, 5 * time.Second, 5 * time.Second},
		{"above", time.Hour, 285 * time.Second, 5 * time.Minute},
		{"nothing said", 0, 5 * time.Second, 5 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			resolve(t, func(t *testing.T, r *Resolver, a *oracle) {
				a.setReply(dbA, foundReply(test.ttl, "192.0.2.1"))
				r.Set(asker, wantDB)
				if got := r.settled(dbA); !got.equal(addresses("192.0.2.1")) || got.Outcome != LookupFound {
					t.Fatalf("%+v", got)
				}
				time.Sleep(20 * test.to)
				times := a.times(dbA)
				for i := 1; i < len(times); i++ {
					if gap := times[i].Sub(times[i-1]); gap < test.from || gap > test.to {
						t.Errorf("asked again after %v, want from %v to %v", gap, test.from, test.to)
					}
				}
				if notified := a.notified(asker); notified != 1 {
					t.Errorf("told %d times while nothing changed", notified)
				}
				a.setReply(dbA, foundReply(test.ttl, "192.0.2.2", "192.0.2.1"))
				time.Sleep(test.to)
				if got := r.settled(dbA); !got.equal(addresses("192.0.2.2", "192.0.2.1")) || a.notified(asker) != 2 {
					t.Errorf("%+v, told %d times", got, a.notified(asker))
				}
			})
		})
	}
}

// A cache counts down the TTL of what it holds, and is asked again when that has ended.
func TestServerThatCountsDown(t *testing.T) {
	resolve(t, func(t *testing.T, r *Resolver, a *oracle) {
		const ttl = time.Minute
		start := time.Now()
		var changed atomic.Bool
		r.options.lookup = func(context.Context, Question) dnsReply {
			// The cache has been asked by others before: it fetches again each minute.
			age := time.Since(start) % ttl
			if changed.Load() && time.Since(start) >= 20*ttl {
				return foundReply((ttl - age).Truncate(time.Second), "192.0.2.2")
			}
			return foundReply((ttl - age).Truncate(time.Second), "192.0.2.1")
		}
		r.Set(asker, wantDB)
		time.Sleep(19*ttl + time.Second)
		synctest.Wait()
		changed.Store(true) // what the cache does not know before its copy expires
		time.Sleep(ttl)
		if got := r.settled(dbA); !got.equal(addresses("192.0.2.2")) {
			t.Errorf("a second after the TTL: %+v", got)
		}
	})
}

func TestOwnersShareALookup(t *testing.T) {
	resolve(t, func(t *testing.T, r *Resolver, a *oracle) {
		a.setReply(dbA, foundReply(time.Minute, "192.0.2.1"))
		for i := range 1000 {
			r.Set(probes.Owner{Namespace: "many", Name: fmt.Sprint(i)}, wantDB)
		}
		time.Sleep(59 * time.Minute)
		if queries := len(a.times(dbA)); queries < 59 || queries > 63 {
			t.Errorf("asked %d times in an hour for a thousand owners, with a TTL of a minute", queries)
		}
		// One that is in more of a hurry.
		r.Set(other, []Request{{Question: dbA, TTLBounds: TTLBounds{Min: time.Second, Max: 2 * time.Second}}})
		before := len(a.times(dbA))
		time.Sleep(time.Minute)
		if queries := len(a.times(dbA)) - before; queries < 30 || queries > 33 {
			t.Errorf("asked %d times in a minute, with a maxTTL of 2 s", queries)
		}
		r.Remove(other)
		before = len(a.times(dbA))
		time.Sleep(10 * time.Minute)
		if queries := len(a.times(dbA)) - before; queries > 12 {
			t.Errorf("asked %d times in ten minutes after that one has gone", queries)
		}
		a.setReply(dbA, foundReply(time.Minute, "192.0.2.2"))
		time.Sleep(time.Minute)
		for i := range 1000 {
			if notified := a.notified(probes.Owner{Namespace: "many", Name: fmt.Sprint(i)}); notified != 2 && notified != 1 {
				t.Fatalf("asker %d was notified %d times", i, notified)
			}
		}
	})
}

func TestNobodyWantsToKnow(t *testing.T) {
	resolve(t, func(t *testing.T, r *Resolver, a *oracle) {
		second := Question{Name: "db.example", Type: RecordAAAA}
		a.setReply(dbA, foundReply(time.Second, "192.0.2.1"))
		a.slow = time.Second
		r.Set(asker, []Request{{Question: dbA, TTLBounds: bounds}, {Question: second, TTLBounds: bounds}})
		time.Sleep(time.Millisecond)
		r.Set(asker, wantDB) // the other one is being asked
		time.Sleep(time.Minute)
		if queries := len(a.times(second)); queries != 1 {
			t.Errorf("asked %d times", queries)
		}
		r.Remove(asker)
		before := len(a.times(dbA))
		time.Sleep(time.Hour)
		if queries := len(a.times(dbA)) - before; queries > 0 || len(r.lookups)+len(r.requested) > 0 {
			t.Errorf("asked %d times, %d lookups are left", queries, len(r.lookups))
		}
		if got := r.Answer(dbA); !got.empty() || got.Outcome != LookupPending {
			t.Errorf("%+v", got)
		}
	})
}

// A thousand names that nobody answers hold up no other one.
func TestFailingNamesHoldUpNoOthers(t *testing.T) {
	names := 2000
	if effort.Bounded {
		names /= 10 // see TestGreedyTenantsMakeNobodyWait
	}
	resolve(t, func(t *testing.T, r *Resolver, a *oracle) {
		var questions []Request
		for i := range names {
			question := Question{Name: fmt.Sprintf("%d.example", i), Type: RecordA}
			questions = append(questions, Request{Question: question, TTLBounds: bounds})
			a.setReply(question, dnsReply{outcome: LookupTimeout})
		}
		r.Set(other, questions)
		time.Sleep(time.Minute)
		a.mu.Lock()
		a.slow, a.fast = 3*time.Second, dbA
		a.mu.Unlock()
		a.setReply(dbA, foundReply(10*time.Second, "192.0.2.1"))
		r.Set(asker, wantDB)
		time.Sleep(10 * time.Minute)
		times := a.times(dbA)
		for i := 1; i < len(times); i++ {
			if gap := times[i].Sub(times[i-1]); gap > 10*time.Second {
				t.Errorf("asked again after %v with a TTL of 10 s", gap)
			}
		}
	})
}

func TestPanicIsAnOutcome(t *testing.T) {
	resolve(t, func(t *testing.T, r *Resolver, _ *oracle) {
		r.options.lookup = func(context.Context, Question) dnsReply { panic("a reply") }
		r.Set(asker, wantDB)
		if got := r.settled(dbA); got.Outcome != LookupInvalid {
			t.Errorf("%+v", got)
		}
	})
}

func TestResolverAsksNameServers(t *testing.T) {
	server := probetest.NameServer(t, probetest.AnswersBy(t, probetest.Holding(map[string][]string{"db.example. A": {"db.example. 1 IN A 192.0.2.9"}})), probetest.Silence)
	notified := make(chan probes.Owner, 1)
	r := New(Options{Servers: []netip.AddrPort{server}, Log: logr.Discard(), Notify: func(asker probes.Owner) { notified <- asker }})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Start(ctx) }()
	r.Set(asker, wantDB)
	select {
	case <-notified:
	case <-time.After(probetest.Ample):
		t.Fatal("no answer")
	}
	if got := r.Answer(dbA); !got.equal(addresses("192.0.2.9")) {
		t.Errorf("%+v", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A name has other answers by the name servers of one object, and by those that may not be asked
// none.
func TestResolver_OwnNameServers_AreAskedForTheirOwnersOnly(t *testing.T) {
	holding := func(address string) netip.AddrPort {
		return probetest.NameServer(t, probetest.AnswersBy(t, probetest.Holding(map[string][]string{"db.example. A": {"db.example. 1 IN A " + address}})), probetest.Silence)
	}
	common, own := holding("192.0.2.9"), holding("192.0.2.10")
	var allowed atomic.Bool
	allowed.Store(true)
	r := New(Options{
		Servers: []netip.AddrPort{common}, Log: logr.Discard(), Notify: func(probes.Owner) {},
		CheckServer: func(netip.Addr) error {
			if !allowed.Load() {
				return errors.New("not allowed")
			}
			return nil
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Start(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	with := func(servers string) []Request {
		return []Request{{Question: Question{Name: "db.example", Type: RecordA, Servers: servers}, TTLBounds: TTLBounds{Min: time.Second, Max: time.Second}}}
	}
	expect := func(servers string, outcome LookupOutcome, want RecordSet) {
		t.Helper()
		deadline := time.Now().Add(probetest.Ample)
		for {
			got := r.Answer(with(servers)[0].Question)
			if got.Outcome == outcome && got.equal(want) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("by %q: %+v, want %v %v", servers, got, outcome, want)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	owns := JoinServers([]netip.AddrPort{own})
	r.Set(asker, with(owns))
	r.Set(other, append(with(""), with(NoServers)...))
	expect(owns, LookupFound, addresses("192.0.2.10"))
	expect("", LookupFound, addresses("192.0.2.9"))
	expect(NoServers, LookupForbidden, RecordSet{})
	allowed.Store(false)
	expect(owns, LookupForbidden, addresses("192.0.2.10"))
	expect("", LookupFound, addresses("192.0.2.9"))
}

// Silent name servers of an object take every place that there is for them, and no other one.
func TestResolver_SilentOwnNameServers_HoldUpNoOthers(t *testing.T) {
	l := &lookup{servers: &nameServers{}}
	if got := l.lane(); got != ownLiveLane {
		t.Errorf("lane %d", got)
	}
	l.failures = 1
	if got := l.lane(); got != ownFailingLane {
		t.Errorf("after a failure, lane %d", got)
	}
}

// runResolver runs a resolver until the test ends. notified gets a value after answers have changed.
func runResolver(t *testing.T, server netip.AddrPort) (r *Resolver, notified <-chan struct{}) {
	t.Helper()
	changes := make(chan struct{}, 1)
	r = New(Options{Servers: []netip.AddrPort{server}, Log: logr.Discard(), Notify: func(probes.Owner) {
		select {
		case changes <- struct{}{}:
		default:
		}
	}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r, changes
}

// What people run: a change is known within the TTL, plus the time of an answer.
func TestResolverOfDnsmasq(t *testing.T) {
	t.Parallel() // it waits for a server
	server := servers.NewDnsmasq(t, 1, "--cname=far.example,alias.example", "--cname=alias.example,db.example",
		"--srv-host=_db._tcp.example,db.example,5432,10,5")
	server.Hold(append(servers.Addresses("many.example", 200), "192.0.2.1 db.example", "2001:db8::1 db.example")...)
	server.Start()
	r, notified := runResolver(t, server.Address())
	far, many := Question{Name: "far.example", Type: RecordA}, Question{Name: "many.example", Type: RecordA}
	wide, service, nonexistent := Question{Name: "far.example", Type: RecordAAAA}, Question{Name: "_db._tcp.example", Type: RecordSRV}, Question{Name: "missing.example", Type: RecordA}
	var requests []Request
	for _, question := range []Question{far, many, wide, service, nonexistent} {
		requests = append(requests, Request{Question: question, TTLBounds: TTLBounds{Min: time.Second, Max: time.Second}})
	}
	r.Set(asker, requests)
	until := func(what string, holds func() bool) {
		t.Helper()
		deadline := time.After(probetest.Ample)
		for !holds() {
			select {
			case <-notified:
			case <-deadline:
				t.Fatalf("not in time: %s", what)
			}
		}
	}
	until("the first answers", func() bool {
		return r.Answer(far).equal(addresses("192.0.2.1")) && r.Answer(wide).equal(addresses("2001:db8::1")) &&
			len(r.Answer(many).Addresses) == 200 && r.Answer(nonexistent).Outcome == LookupMissing &&
			r.Answer(service).equal(RecordSet{Services: []ServiceRecord{{10, 5, "db.example", 5432}}})
	})
	for i := range 3 {
		changed := fmt.Sprintf("192.0.2.%d", 10+i)
		server.Hold(changed + " db.example")
		began := time.Now()
		until("a change", func() bool { return r.Answer(far).equal(addresses(changed)) })
		t.Logf("known %v after the change, with a TTL of 1 s", time.Since(began))
	}
	server.Freeze()
	until("silence", func() bool { return r.Answer(far).Outcome == LookupTimeout })
	server.Kill()
	if got := r.Answer(far); !got.equal(addresses("192.0.2.12")) {
		t.Errorf("during the outage: %+v", got)
	}
	server.Hold("192.0.2.99 db.example")
	server.Start()
	until("its end", func() bool { return r.Answer(far).equal(addresses("192.0.2.99")) })
}
