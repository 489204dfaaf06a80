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

package protocol

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	grpchealth "google.golang.org/grpc/health"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/scheduler"
	"farpoint.dev/farpoint/probes/transport"
)

// watching probes a place once an hour and watches it, until the test ends. turned gets
// each change of the verdict.
func watching(t *testing.T, def Definition) (turned <-chan health.Health) {
	t.Helper()
	changes := make(chan health.Health, 100)
	var s *scheduler.Scheduler
	s = scheduler.New(scheduler.Options{Notify: func(owner probes.Owner) { changes <- s.Health(watcherOwner)["a"] }})
	rare := onlyTarget(prepare(t, def))
	rare.Timing = scheduler.Timing{Interval: time.Hour, FastInterval: time.Hour, Timeout: probetest.Ample}
	s.Set(watcherOwner, []scheduler.Target{rare})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return changes
}

// turns expects a verdict to come.
func turns(t *testing.T, turned <-chan health.Health, want health.State, reason probes.Reason) {
	t.Helper()
	select {
	case got := <-turned:
		if got.State != want || got.Cause.Reason != reason {
			t.Fatalf("turned to state %v, reason %v; want %v, %v", got.State, got.Cause.Reason, want, reason)
		}
	case <-time.After(probetest.Ample):
		t.Fatalf("no word of state %v", want)
	}
}

func TestGRPCWatch(t *testing.T) {
	ca := probetest.NewAuthority(t)
	for _, test := range []struct {
		scheme  string
		options []grpc.ServerOption
	}{
		{"grpc", nil},
		{"grpcs", []grpc.ServerOption{grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{ca.Issue(t)}}))}},
	} {
		t.Run(test.scheme, func(t *testing.T) {
			states := grpchealth.NewServer()
			states.SetServingStatus("shop.Cart", serving)
			_, addr := grpcServer(t, states, test.options...)
			def := at(addr, test.scheme+":// service=shop.Cart watch=true")
			def.TLS = &transport.TLSSettings{CABundle: ca.Bundle()}
			turned := watching(t, def)
			turns(t, turned, health.StateHealthy, probes.ReasonNone)
			for range 3 {
				states.SetServingStatus("shop.Cart", notServing)
				turns(t, turned, health.StateUnhealthy, probes.ReasonNotServing)
				states.SetServingStatus("shop.Cart", serving)
				turns(t, turned, health.StateHealthy, probes.ReasonNone)
			}
			states.Shutdown()
			turns(t, turned, health.StateUnhealthy, probes.ReasonNotServing)
		})
	}
}

// TestGRPCWatchIsRenewed: a server that ends its connections, as many do from time to
// time, is no less well for that, and is heard again.
func TestGRPCWatchIsRenewed(t *testing.T) {
	states := grpchealth.NewServer()
	var streams atomic.Int32
	ending := make(chan struct{})
	_, addr := grpcServer(t, states, grpc.StreamInterceptor(func(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
		if streams.Add(1) > 1 {
			return handle(server, stream)
		}
		<-ending
		return errors.New("s3cret")
	}))
	turned := watching(t, at(addr, "grpc:/// watch=true"))
	turns(t, turned, health.StateHealthy, probes.ReasonNone) // by a probe
	close(ending)
	for end := time.Now().Add(probetest.Ample); streams.Load() < 2; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the watch is not renewed")
		}
	}
	states.SetServingStatus("", notServing)
	turns(t, turned, health.StateUnhealthy, probes.ReasonNotServing)
}

// grpcWords is an exchange that says so many words, healthy and not in turn.
func grpcWords(count int) func(*http2.Framer) {
	return func(framer *http2.Framer) {
		okay(framer)
		for i := range count {
			_ = framer.WriteData(1, false, grpcMessage(byte(1+i%2)))
		}
		headers(framer, true, "grpc-status", "0")
	}
}

// TestGRPCWatchOfOddServers: whatever comes on a watch, it ends, and reports nothing that was
// not sent.
func TestGRPCWatchOfOddServers(t *testing.T) {
	_, without := grpcServer(t, nil)
	for _, test := range []struct {
		name     string
		exchange func(net.Conn)
		want     []probes.Result
	}{
		{"three words", frames(grpcWords(3)), []probes.Result{aSuccess, goingAway, aSuccess}},
		{"many words", frames(grpcWords(10_000)), slices.Repeat([]probes.Result{aSuccess, goingAway}, 5_000)},
		{"unknown service", frames(func(framer *http2.Framer) {
			okay(framer)
			_ = framer.WriteData(1, true, grpcMessage(3))
		}), []probes.Result{probes.FailureResult(probes.ReasonServiceUnknown)}},
		{"an error", frames(func(framer *http2.Framer) {
			_ = framer.WriteSettings()
			headers(framer, true, ":status", "200", "content-type", "application/grpc", "grpc-status", "12")
		}), nil},
		{"word and reset", probetest.Aborting(frames(func(framer *http2.Framer) {
			okay(framer)
			_ = framer.WriteData(1, false, grpcMessage(1))
			for range 6 { // until the word is acknowledged, or the reset could overtake it
				_, _ = framer.ReadFrame()
			}
		})), []probes.Result{aSuccess}},
		{"endless pings after a word", frames(func(framer *http2.Framer) {
			okay(framer)
			err := framer.WriteData(1, false, grpcMessage(1))
			for err == nil {
				err = framer.WritePing(false, [8]byte{})
			}
		}), []probes.Result{aSuccess}},
		{"endless empty data after a word", frames(func(framer *http2.Framer) {
			okay(framer)
			err := framer.WriteData(1, false, grpcMessage(1))
			for err == nil {
				err = framer.WriteData(1, false, nil)
			}
		}), []probes.Result{aSuccess}},
		{"HTTP/1.1", func(conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n") }, nil},
		{"closes at once", probetest.Closing(probetest.Silence), nil},
		{"no health service", func(conn net.Conn) { forward(conn, without) }, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			watcher := prepare(t, at(probetest.Serve(t, test.exchange), "grpc:/// watch=true")).(probes.Watcher)
			ctx, cancel := context.WithTimeout(t.Context(), probetest.Ample)
			defer cancel()
			var heard []probes.Result
			watcher.Watch(ctx, func(result probes.Result) { heard = append(heard, result) })
			if ctx.Err() != nil {
				t.Error("the watch does not end")
			}
			if !slices.Equal(heard, test.want) {
				t.Errorf("heard %d words %v, want %d words %v", len(heard), heard[:min(len(heard), 5)], len(test.want), test.want[:min(len(test.want), 5)])
			}
		})
	}
}

// forward lets a client talk with another server.
func forward(client net.Conn, to netip.AddrPort) {
	server, err := net.Dial("tcp", to.String())
	if err != nil {
		return
	}
	var copying sync.WaitGroup
	copying.Go(func() { _, _ = io.Copy(server, client); server.Close() })
	_, _ = io.Copy(client, server)
	client.Close()
	copying.Wait()
}

func TestGRPCWatchCanceled(t *testing.T) {
	for name, exchange := range map[string]func(net.Conn){
		"silent":       probetest.Silence,
		"after a word": frames(func(framer *http2.Framer) { okay(framer); _ = framer.WriteData(1, false, grpcMessage(1)) }),
	} {
		t.Run(name, func(t *testing.T) {
			accepted := make(chan struct{})
			watcher := prepare(t, at(probetest.Serve(t, func(conn net.Conn) { exchange(conn); close(accepted) }), "grpc:/// watch=true")).(probes.Watcher)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() {
				watcher.Watch(ctx, func(probes.Result) {})
				close(ended)
			}()
			<-accepted
			cancel()
			select {
			case <-ended:
			case <-time.After(probetest.Ample):
				t.Error("the watch goes on")
			}
		})
	}
}

// quietServer answers each connection with these bytes and keeps it, without a goroutine.
func quietServer(t testing.TB, answer []byte) netip.AddrPort {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		var kept []net.Conn
		for {
			conn, err := listener.Accept()
			if err != nil {
				break
			}
			_, _ = conn.Write(answer)
			kept = append(kept, conn)
		}
		for _, conn := range kept {
			conn.Close()
		}
	})
	t.Cleanup(func() {
		listener.Close()
		accepting.Wait()
	})
	return probetest.AddrOf(listener)
}

// TestGRPCWatchIsCheap: a goroutine for each, and little memory.
func TestGRPCWatchIsCheap(t *testing.T) {
	var answer strings.Builder
	framer := http2.NewFramer(&answer, nil)
	okay(framer)
	_ = framer.WriteData(1, false, grpcMessage(1))
	addr := quietServer(t, []byte(answer.String()))
	const watches = 200
	goroutines, before := runtime.NumGoroutine(), memoryInUse()
	ctx, cancel := context.WithCancel(t.Context())
	var watching, heard sync.WaitGroup
	heard.Add(watches)
	for range watches {
		watcher := prepare(t, at(addr, "grpc:/// watch=true")).(probes.Watcher)
		watching.Go(func() { watcher.Watch(ctx, func(probes.Result) { heard.Done() }) })
	}
	heard.Wait()
	item := (memoryInUse() - before) / watches
	t.Logf("%d bytes for each watch", item)
	if more := runtime.NumGoroutine() - goroutines; more > watches {
		t.Errorf("%d goroutines for %d watches", more, watches)
	}
	if item > 32<<10 {
		t.Errorf("%d bytes for each watch", item)
	}
	cancel()
	watching.Wait()
}

func memoryInUse() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapInuse + stats.StackInuse)
}
