//go:build linux

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

package cost

import (
	"slices"
	"testing"
)

func TestProbeAllocations(t *testing.T) {
	bytes, allocs, order := probeAllocations(`goos: linux
BenchmarkProbe/http-2         	    5227	     47945 ns/op	    2858 B/op	      56 allocs/op
BenchmarkProbe/http-2         	    4830	     47864 ns/op	    2848 B/op	      58 allocs/op
BenchmarkProbe/http?version=HTTP2-16 	 5227	     47945 ns/op	      10 B/op	       1 allocs/op
BenchmarkProbe/mysql/login-2  	    2954	    182152 ns/op	    1523 B/op	      29 allocs/op
BenchmarkProbe/mysql/login?role=Primary-2 	 1150	 235816 ns/op	  2360 B/op	   69 allocs/op
BenchmarkHealthObserve-2     	148732484	         1.608 ns/op	       0 B/op	       0 allocs/op
--- SKIP: BenchmarkProbe/icmp
PASS
`)
	if want := []string{"http", "http?version=HTTP2", "mysql", "mysql?role=Primary"}; !slices.Equal(order, want) {
		t.Errorf("got %q, want %q", order, want)
	}
	if !slices.Equal(bytes["http"], []float64{2858, 2848}) || !slices.Equal(allocs["http"], []float64{56, 58}) || !slices.Equal(allocs["mysql?role=Primary"], []float64{69}) {
		t.Errorf("got %v bytes and %v allocations", bytes, allocs)
	}
}
