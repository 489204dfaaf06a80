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
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/test/servers"
)

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
