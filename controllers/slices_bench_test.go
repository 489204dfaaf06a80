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

package controllers

import "testing"

// BenchmarkPlanUnchanged plans what a reconcile writes that finds nothing new, for as many
// endpoints as an ExternalService may have.
func BenchmarkPlanUnchanged(b *testing.B) {
	endpoints := numbered(1000)
	existing := planSlices(wantsOf(endpoints), nil).Create
	b.ReportAllocs()
	for b.Loop() {
		if plan := planSlices(wantsOf(endpoints), existing); len(plan.Update) != 0 {
			b.Fatalf("%d updates", len(plan.Update))
		}
	}
}

// BenchmarkSeedsFrom reads what the slices of a large ExternalService say after a restart.
func BenchmarkSeedsFrom(b *testing.B) {
	existing := planSlices(wantsOf(numbered(1000)), nil).Create
	b.ReportAllocs()
	for b.Loop() {
		seedsFrom(existing)
	}
}
