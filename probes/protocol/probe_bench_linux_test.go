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
	"maps"
	"slices"
	"testing"

	"farpoint.dev/farpoint/probes/transport"
)

// probeBenchmarks make probes that pass, of every scheme: of servers that cost as little as
// can be where the cost of a server's own would count, and of databases as they are. Those
// whose names have more than a scheme ask for something besides.
var probeBenchmarks = map[string]func(*testing.B){
	"dns":                benchmarkDNSProbe,
	"grpc":               benchmarkGRPCProbe,
	"grpcs":              benchmarkGRPCSProbe,
	"http":               benchmarkHTTPProbe,
	"http?version=HTTP2": benchmarkHTTP2Probe,
	"https":              benchmarkHTTPSProbe,
	"icmp":               benchmarkICMPProbe,
	"mysql":              benchmarkMySQLProbe,
	"postgres":           benchmarkPostgresProbe,
	"redis":              benchmarkRedisProbe,
	"rediss":             benchmarkRedisTLSProbe,
	"tcp":                benchmarkTCPProbe,
	"tls":                benchmarkTLSProbe,
	"udp":                benchmarkUDPProbe,
}

// BenchmarkProbe is what `make bench` takes the cost of each scheme's probes from.
func BenchmarkProbe(b *testing.B) {
	for _, name := range slices.Sorted(maps.Keys(probeBenchmarks)) {
		b.Run(name, probeBenchmarks[name])
	}
}

func TestEverySchemeHasABenchmark(t *testing.T) {
	for scheme := range NewRegistry(transport.NewDialer(loopback)) {
		if probeBenchmarks[scheme] == nil {
			t.Errorf("there is no benchmark of %s://", scheme)
		}
	}
}
