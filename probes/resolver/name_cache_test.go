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
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/utils/clock"

	"farpoint.dev/farpoint/probes/probetest"
)

// scriptedNames is a cache whose name servers answer by a function, and count the questions.
type scriptedNames struct {
	*Cache
	queries atomic.Int32
}

func newScriptedNames(answer func(context.Context, Question) dnsReply) *scriptedNames {
	s := &scriptedNames{Cache: NewCache(nil)}
	s.hosts = &hostsFile{path: os.DevNull}
	s.clock = clock.RealClock{} // of the synctest bubble
	s.lookup = func(ctx context.Context, question Question) dnsReply {
		s.queries.Add(1)
		return answer(ctx, question)
	}
	return s
}

// onlyIPv4 has one address, of IPv4.
func onlyIPv4() func(context.Context, Question) dnsReply {
	return func(_ context.Context, question Question) dnsReply {
		if question.Type == RecordA {
			return dnsReply{outcome: LookupFound, records: addresses("192.0.2.9"), ttl: time.Minute}
		}
		return dnsReply{outcome: LookupEmpty, ttl: time.Minute}
	}
}

func constantReply(reply dnsReply) func(context.Context, Question) dnsReply {
	return func(context.Context, Question) dnsReply { return reply }
}

func TestNameCache_Reply_IsKeptForItsTTL(t *testing.T) {
	withTTL := func(ttl time.Duration) func(context.Context, Question) dnsReply {
		return constantReply(dnsReply{outcome: LookupFound, records: addresses("192.0.2.9"), ttl: ttl})
	}
	for _, test := range []struct {
		name   string
		answer func(context.Context, Question) dnsReply
		kept   time.Duration
	}{
		{"found", withTTL(time.Minute), time.Minute},
		{"without TTL", withTTL(0), minCacheTTL},
		{"for a day", withTTL(24 * time.Hour), maxCacheTTL},
		{"no such name", constantReply(dnsReply{outcome: LookupMissing, ttl: time.Hour}), maxNegativeTTL},
		{"no such name, briefly", constantReply(dnsReply{outcome: LookupMissing, ttl: 5 * time.Second}), 5 * time.Second},
		{"failure", constantReply(dnsReply{outcome: LookupServerFailure}), failureTTL},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				names := newScriptedNames(test.answer)
				resolve := func() { _, _ = names.Addresses(t.Context(), "legacy.example.") }
				resolve()
				time.Sleep(test.kept - time.Millisecond)
				resolve()
				if n := names.queries.Load(); n != 2 {
					t.Errorf("%d questions before the reply has expired, want one of each type", n)
				}
				time.Sleep(time.Millisecond)
				resolve()
				if n := names.queries.Load(); n != 4 {
					t.Errorf("%d questions after the reply has expired, want two of each type", n)
				}
			})
		})
	}
}

func TestNameCache_ManyProbesAtOnce_AskOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := newScriptedNames(func(ctx context.Context, question Question) dnsReply {
			time.Sleep(time.Second)
			return onlyIPv4()(ctx, question)
		})
		var count sync.WaitGroup
		for range 100 {
			count.Go(func() {
				if addrs, err := names.Addresses(t.Context(), "Legacy.Example"); err != nil || len(addrs) != 1 {
					t.Errorf("%v, %v", addrs, err)
				}
			})
		}
		count.Wait()
		if n := names.queries.Load(); n != 2 {
			t.Errorf("%d questions, want one of each type", n)
		}
	})
}

// TestNameCache_LastProbeGivesUp_LookupEnds: synctest fails if a goroutine is left.
func TestNameCache_LastProbeGivesUp_LookupEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := newScriptedNames(func(ctx context.Context, _ Question) dnsReply {
			<-ctx.Done()
			return dnsReply{outcome: LookupTimeout}
		})
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		long, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		var count sync.WaitGroup
		for _, ctx := range []context.Context{short, long} {
			count.Go(func() {
				_, err := names.Addresses(ctx, "legacy.example")
				if got := new(LookupError); !errors.As(err, &got) {
					t.Errorf("%+v", got)
				}
			})
		}
		count.Wait()
		if n := names.queries.Load(); n != 2 {
			t.Errorf("%d questions, want one of each type", n)
		}
	})
}

func TestNameCache_OneFamilyIsSilent_OtherIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := newScriptedNames(func(ctx context.Context, question Question) dnsReply {
			if question.Type == RecordAAAA {
				<-ctx.Done()
				return dnsReply{outcome: LookupTimeout}
			}
			return onlyIPv4()(ctx, question)
		})
		start := time.Now()
		addrs, err := names.Addresses(t.Context(), "legacy.example")
		if took := time.Since(start); err != nil || len(addrs) != 1 || took != resolutionDelay {
			t.Errorf("%v, %v after %v", addrs, err, took)
		}
	})
}

func TestNameCache_Addresses_AlternateBetweenFamilies(t *testing.T) {
	names := newScriptedNames(func(_ context.Context, question Question) dnsReply {
		if question.Type == RecordAAAA {
			return dnsReply{outcome: LookupFound, records: addresses("2001:db8::1", "2001:db8::2", "2001:db8::3")}
		}
		return dnsReply{outcome: LookupFound, records: addresses("192.0.2.1", "192.0.2.2")}
	})
	// Both replies must be there before they are combined.
	probetest.Eventually(t, "both families are known", func() bool {
		addrs, err := names.Addresses(t.Context(), "legacy.example")
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "2001:db8::3"}
		return slices.EqualFunc(addrs, want, func(addr netip.Addr, text string) bool { return addr.String() == text })
	})
}

func TestNameCache_NoAddress_SaysWhy(t *testing.T) {
	for _, test := range []struct {
		four, six, want LookupOutcome
	}{
		{LookupMissing, LookupMissing, LookupMissing},
		{LookupEmpty, LookupEmpty, LookupEmpty},
		{LookupEmpty, LookupMissing, LookupEmpty},
		{LookupServerFailure, LookupEmpty, LookupServerFailure},
		{LookupEmpty, LookupTimeout, LookupTimeout},
	} {
		names := newScriptedNames(func(_ context.Context, question Question) dnsReply {
			if question.Type == RecordA {
				return dnsReply{outcome: test.four}
			}
			return dnsReply{outcome: test.six}
		})
		_, err := names.Addresses(t.Context(), "legacy.example")
		var unresolved *LookupError
		if !errors.As(err, &unresolved) || unresolved.Outcome != test.want {
			t.Errorf("A %v and AAAA %v: got %v, want %v", test.four, test.six, err, test.want)
		}
	}
}

func TestNameCache_ManyNames_AreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		names := newScriptedNames(onlyIPv4())
		for i := range maxCachedReplies {
			_, _ = names.Addresses(t.Context(), strings.Repeat("a", i%60+1)+"."+strings.Repeat("b", i/60%60+1)+"."+strings.Repeat("c", i/3600+1))
		}
		if got := len(names.replies); got > maxCachedReplies {
			t.Errorf("%d replies are kept, want at most %d", got, maxCachedReplies)
		}
	})
}

func TestNameCache_HostsFile_ComesFirst(t *testing.T) {
	names := newScriptedNames(onlyIPv4())
	names.hosts = &hostsFile{path: filepath.Join(t.TempDir(), "hosts")}
	expect := func(name string, want ...string) {
		t.Helper()
		addrs, err := names.Addresses(t.Context(), name)
		if err != nil || !slices.EqualFunc(addrs, want, func(addr netip.Addr, text string) bool { return addr.String() == text }) {
			t.Errorf("%s: got %v, %v, want %v", name, addrs, err, want)
		}
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(names.hosts.path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	expect("legacy.example", "192.0.2.9") // there is no such file
	write("# hosts\n198.51.100.7\tLegacy.Example legacy # the old one\n2001:db8::7 legacy.example\nnonsense legacy\n127.0.0.1 localhost\n")
	expect("legacy.example", "2001:db8::7", "198.51.100.7")
	expect("LEGACY.example.", "2001:db8::7", "198.51.100.7")
	expect("legacy", "198.51.100.7")
	expect("localhost", "127.0.0.1")
	expect("other.localhost", "::1", "127.0.0.1")
	expect("other.example", "192.0.2.9")
	write("198.51.100.8 legacy.example another.example\n")
	expect("another.example", "198.51.100.8")
	expect("localhost", "::1", "127.0.0.1")
	if n := names.queries.Load(); n != 4 {
		t.Errorf("%d questions, want one of each type for two names", n)
	}
}
