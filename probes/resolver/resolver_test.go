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
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/test/effort"
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
