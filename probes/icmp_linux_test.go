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
	"bytes"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"farpoint.dev/farpoint/test/servers"
)

func TestICMPProbe(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	resolving(t, always("127.0.0.1"))
	probe := func(url string, timeout time.Duration, want Result) {
		t.Helper()
		if got := result(t, Definition{URL: url}, timeout); got != want {
			t.Errorf("%s: got %+v, want %+v", url, got, want)
		}
	}
	six := "icmp://[::1]"
	if ipv6Loopback(t) != "[::1]:0" {
		six = "icmp://127.0.0.1"
	}
	// A new namespace lets nobody.
	probe("icmp://127.0.0.1", ample, UnknownResult(ReasonICMPForbidden))
	probe(six, ample, UnknownResult(ReasonICMPForbidden))

	sysctl(t, "ipv4/ping_group_range", "0 0") // lets the group root
	probe("icmp://127.0.0.1", ample, SuccessResult())
	probe(six, ample, SuccessResult())
	probe("icmp://legacy.example", ample, SuccessResult())
	if got := result(t, Definition{URL: "icmp://", Address: netip.MustParseAddr("127.0.0.2"), Port: 8080}, ample); got != SuccessResult() {
		t.Errorf("the endpoint's own address: got %+v", got)
	}

	resolving(t, always("169.254.169.254"))
	probe("icmp://legacy.example", ample, FailureResult(ReasonAddressRefused))
	probe("icmp://198.51.100.1", ample, UnknownResult(ReasonNetworkUnreachable))
	ip(t, "route", "add", "unreachable", "192.0.2.9/32")
	probe("icmp://192.0.2.9", ample, UnknownResult(ReasonNetworkUnreachable)) // it is our own route
	ip(t, "route", "add", "192.0.2.10/32", "dev", "lo")                       // where nobody has it
	probe("icmp://192.0.2.10", brief, FailureResult(ReasonTimeout))
	underWay := make(chan struct{})
	time.AfterFunc(50*time.Millisecond, func() { close(underWay) })
	testCanceled(t, Definition{URL: "icmp://192.0.2.10"}, underWay)

	sysctl(t, "ipv4/icmp_echo_ignore_all", "1")
	probe("icmp://127.0.0.1", brief, FailureResult(ReasonTimeout))
	sysctl(t, "ipv4/icmp_echo_ignore_all", "0")
	probe("icmp://127.0.0.1", ample, SuccessResult())
}

// TestICMPRepliesAreOnesOwn: many probes of one host at once, while another one, which is
// silent, gets none of their replies.
func TestICMPRepliesAreOnesOwn(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	sysctl(t, "ipv4/ping_group_range", "0 0")
	ip(t, "route", "add", "192.0.2.10/32", "dev", "lo") // where nobody has it
	var count sync.WaitGroup
	silent := prepare(t, Definition{URL: "icmp://192.0.2.10"})
	count.Go(func() {
		if got, want := probeOnce(t, silent, time.Second), FailureResult(ReasonTimeout); got != want {
			t.Errorf("silent: got %+v, want %+v", got, want)
		}
	})
	for range 100 {
		prober := prepare(t, Definition{URL: "icmp://127.0.0.1"})
		count.Go(func() {
			for range 20 {
				if got := probeOnce(t, prober, ample); got != SuccessResult() {
					t.Errorf("got %+v", got)
				}
			}
		})
	}
	count.Wait()
}

// TestICMPProbeOfALiar is about a host that replies by rules of its own.
func TestICMPProbeOfALiar(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	sysctl(t, "ipv4/ping_group_range", "0 0")
	sysctl(t, "ipv4/icmp_echo_ignore_all", "1")
	right := func(reply []byte) []byte { return reply }
	at := func(index int) func([]byte) []byte {
		return func(reply []byte) []byte { reply[index] ^= 1; return reply }
	}
	short := func(reply []byte) []byte { return reply[:16] }
	long := func(reply []byte) []byte { return append(reply, make([]byte, 1000)...) }
	for _, test := range []struct {
		name    string
		replies []func([]byte) []byte
		timeout time.Duration
		want    Result
	}{
		{"right", []func([]byte) []byte{right}, ample, SuccessResult()},
		{"late, behind wrong ones", []func([]byte) []byte{at(1), at(7), at(8), at(23), short, right}, ample, SuccessResult()},
		{"another code", []func([]byte) []byte{at(1)}, brief, FailureResult(ReasonTimeout)},
		{"another identifier", []func([]byte) []byte{at(5)}, brief, FailureResult(ReasonTimeout)},
		{"another sequence number", []func([]byte) []byte{at(7)}, brief, FailureResult(ReasonTimeout)},
		{"other data", []func([]byte) []byte{at(23)}, brief, FailureResult(ReasonTimeout)},
		{"short", []func([]byte) []byte{short}, brief, FailureResult(ReasonTimeout)},
		{"flood", append(make([]func([]byte) []byte, 0), repeat(at(23), maxStrays+1)...), ample, FailureResult(ReasonProtocol)},
		{"long, and right at its beginning", []func([]byte) []byte{long}, ample, SuccessResult()},
	} {
		t.Run(test.name, func(t *testing.T) {
			lie(t, test.replies)
			if got := result(t, Definition{URL: "icmp://127.0.0.1"}, test.timeout); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func repeat(reply func([]byte) []byte, times int) []func([]byte) []byte {
	var replies []func([]byte) []byte
	for range times {
		replies = append(replies, reply)
	}
	return replies
}

// lie answers echo requests to 127.0.0.1 until the test ends.
func lie(t *testing.T, replies []func([]byte) []byte) {
	t.Helper()
	conn, err := net.ListenIP("ip4:icmp", &net.IPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	var lying sync.WaitGroup
	lying.Go(func() {
		message := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFromIP(message)
			if err != nil {
				return
			}
			if message[0] != echoRequest4 {
				continue
			}
			for _, change := range replies {
				reply := bytes.Clone(message[:n])
				reply[0], reply[2], reply[3] = echoReply4, 0, 0
				reply = change(reply)
				sum := checksum(reply)
				reply[2], reply[3] = byte(sum>>8), byte(sum)
				if _, err := conn.WriteToIP(reply, from); err != nil && !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
			}
		}
	})
	t.Cleanup(func() {
		conn.Close()
		lying.Wait()
	})
}

// checksum is that of RFC 1071.
func checksum(message []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(message); i += 2 {
		sum += uint32(message[i])<<8 | uint32(message[i+1])
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

func benchmarkICMPProbe(b *testing.B) {
	runtime.LockOSThread() // for good: the thread with its namespace ends with the benchmark
	if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
		b.Skipf("no network namespace for this benchmark (%v): run it as root", err)
	}
	servers.Program(b, "ip")
	ip(b, "link", "set", "lo", "up")
	sysctl(b, "ipv4/ping_group_range", "0 0")
	benchmark(b, Definition{URL: "icmp://127.0.0.1"})
}
