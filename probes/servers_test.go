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

package probes

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
)

// The servers of these tests know no manners but those that a test teaches them.

const (
	// ample is a timeout that no probe of these tests needs, except for failing.
	ample = 20 * time.Second
	// brief is the timeout of probes that run into it.
	brief = 150 * time.Millisecond
)

// loopback lets probes reach the servers of these tests.
var loopback = NewEgressPolicy(EgressRules{AllowLoopbackProbes: true})

// serve hands every connection to talk and closes it afterwards. At the end of the
// test it fails the test if a prober has not closed its side.
func serve(t testing.TB, talk func(net.Conn)) netip.AddrPort {
	t.Helper()
	return serveOn(t, "127.0.0.1:0", talk)
}

func serveOn(t testing.TB, address string, talk func(net.Conn)) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	var talks sync.WaitGroup
	talks.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			// Past all of a test's own deadlines: what still hangs then is a leak.
			_ = conn.SetDeadline(time.Now().Add(2 * ample))
			talks.Go(func() {
				defer conn.Close()
				talk(conn)
				if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("the prober left the connection from %s open", conn.RemoteAddr())
				}
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		talks.Wait()
	})
	return addrOf(listener)
}

func addrOf(listener net.Listener) netip.AddrPort {
	return listener.Addr().(*net.TCPAddr).AddrPort()
}

// closing ends the sending side once talk is done, and what comes is still read.
func closing(talk func(net.Conn)) func(net.Conn) {
	return func(conn net.Conn) {
		talk(conn)
		_ = conn.(interface{ CloseWrite() error }).CloseWrite()
	}
}

// aborting ends the connection with a RST.
func aborting(talk func(net.Conn)) func(net.Conn) {
	return func(conn net.Conn) {
		talk(conn)
		_ = conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
}

// silence reads what comes and says nothing.
func silence(net.Conn) {}

// readRequest reads up to the empty line that ends a request.
func readRequest(conn net.Conn) string {
	var request []byte
	r := bufio.NewReader(conn)
	for {
		line, err := r.ReadSlice('\n')
		request = append(request, line...)
		if err != nil || string(line) == "\r\n" {
			return string(request)
		}
	}
}

// responding reads a request and sends the bytes.
func responding(response string) func(net.Conn) {
	return func(conn net.Conn) {
		readRequest(conn)
		_, _ = io.WriteString(conn, response)
	}
}

// dripping reads a request and drips.
func dripping(start, drop string) func(net.Conn) {
	return func(conn net.Conn) {
		readRequest(conn)
		drip(conn, start, drop)
	}
}

// drip sends the drop again and again, slowly, for as long as somebody is there.
func drip(conn net.Conn, start, drop string) {
	_, err := io.WriteString(conn, start)
	for err == nil {
		time.Sleep(time.Millisecond)
		_, err = io.WriteString(conn, drop)
	}
}

// flooding sends the bytes again and again, for as long as somebody is there.
func flooding(start, flood string) func(net.Conn) {
	drops := []byte(flood)
	return func(conn net.Conn) {
		readRequest(conn)
		_, err := io.WriteString(conn, start)
		for err == nil {
			_, err = conn.Write(drops)
		}
	}
}

// refusing returns a place where nothing listens.
func refusing(t testing.TB) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return addrOf(listener)
}

// unvisited returns a listener, and fails the test if anybody has connected to it.
func unvisited(t testing.TB) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer listener.Close()
		// The kernel takes connections without our asking: one would be there by now.
		_ = listener.(*net.TCPListener).SetDeadline(time.Now().Add(10 * time.Millisecond))
		if conn, err := listener.Accept(); err == nil {
			t.Errorf("the prober connected from %s to where it must not", conn.RemoteAddr())
			conn.Close()
		}
	})
	return addrOf(listener)
}

// result is that of a probe by a definition that must be valid, on the loopback. A plain
// prober's probe is made twice, in a goroutine and by a scheduler's loop, which must come
// to the same.
func result(t testing.TB, def Definition, timeout time.Duration) Result {
	t.Helper()
	prober := prepare(t, def)
	result := probeOnce(t, prober, timeout)
	if plain, ok := prober.(plain); ok && plain.isPlain() {
		if looped := probeByScheduler(t, prober, timeout); looped != result {
			t.Errorf("got %+v in a goroutine and %+v by the loop", result, looped)
		}
	}
	return result
}

// probeByScheduler returns the first result that counts. On a machine that has stood still
// meanwhile it is not that of the first probe.
func probeByScheduler(t testing.TB, prober Prober, timeout time.Duration) Result {
	t.Helper()
	told := make(chan struct{}, 1)
	s := started(t, SchedulerOptions{Notify: func(Owner) {
		select {
		case told <- struct{}{}:
		default:
		}
	}})
	only := target(prober)
	only.Timing = Timing{Interval: time.Hour, FastInterval: time.Millisecond, Timeout: timeout}
	only.Thresholds = Thresholds{Failure: 1, Success: 1}
	start := time.Now()
	s.Set(owner, []Target{only})
	for {
		select {
		case <-told:
		case <-time.After(timeout + ample):
			t.Fatal("the scheduler's probe does not end")
		}
		result := s.Health(owner)[only.Key].Cause
		if result.Reason == ReasonStalled {
			start = time.Now()
			continue
		}
		if late := time.Since(start) - timeout; late > 2*time.Second {
			t.Errorf("the scheduler's probe took %v more than its timeout of %v", late, timeout)
		}
		s.Remove(owner)
		return result
	}
}

func prepare(t testing.TB, def Definition) Prober {
	t.Helper()
	prober, err := NewRegistry(testDialer(loopback)).New(def)
	if err != nil {
		t.Fatalf("New(%+v): %v", def, err)
	}
	return prober
}

// probeOnce probes as the scheduler does when nothing else computes.
func probeOnce(t testing.TB, prober Prober, timeout time.Duration) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	alone := newComputing(1)
	start := time.Now()
	result := prober.Probe(&turn{Context: ctx, computing: alone, timeout: timeout})
	if alone.mu.Lock(); alone.free != 1 {
		t.Error("the probe has kept its turn")
	}
	alone.mu.Unlock()
	if late := time.Since(start) - timeout; late > 2*time.Second {
		t.Errorf("the probe took %v more than its timeout of %v", late, timeout)
	}
	return result
}

// eventually polls until the test holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(ample); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

// healthyOf counts the healthy targets of owner.
func healthyOf(s *Scheduler) int {
	count := 0
	for _, health := range s.Health(owner) {
		if health.State == StateHealthy {
			count++
		}
	}
	return count
}

// at is a definition of a probe of that endpoint.
func at(endpoint netip.AddrPort, url string) Definition {
	return Definition{URL: url, Address: endpoint.Addr(), Port: endpoint.Port()}
}

// ipv6Loopback returns a place to listen on ::1, or on 127.0.0.1 where the host has
// no IPv6: the test then says less, but something.
func ipv6Loopback(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Logf("no IPv6 here (%v): tested with IPv4", err)
		return "127.0.0.1:0"
	}
	listener.Close()
	return "[::1]:0"
}

func testCanceled(t *testing.T, def Definition, underWay <-chan struct{}) {
	t.Helper()
	prober := prepare(t, def)
	ctx, cancel := context.WithTimeout(t.Context(), ample)
	defer cancel()
	go func() {
		<-underWay
		cancel()
	}()
	start := time.Now()
	if got, want := prober.Probe(ctx), unknown(ReasonCanceled); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if took := time.Since(start); took > ample/2 {
		t.Errorf("the probe went on for %v", took)
	}
}

// testMemoryIsBounded counts everything allocated, the server's side too.
func testMemoryIsBounded(t *testing.T, def Definition) {
	t.Helper()
	const probes = 20
	prober := prepare(t, def)
	probeOnce(t, prober, ample) // fills the pools
	allocated := allocatedBy(func() {
		for range probes {
			probeOnce(t, prober, ample)
		}
	})
	t.Logf("%d KiB a probe", allocated/probes>>10)
	if allocated/probes > 2<<20 {
		t.Errorf("a probe allocates %d KiB", allocated/probes>>10)
	}
}

// allocatedBy is how much memory is taken meanwhile, by whomever, whether it is given
// back or not.
func allocatedBy(what func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	what()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
