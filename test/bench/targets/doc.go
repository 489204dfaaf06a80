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

// Package targets is what the bench probes: a server in a process of its own, which answers by HTTP,
// HTTPS and TCP at thousands of loopback addresses, counts the probes, and says when it first
// answered that a target is down. [Start] starts it and [Serve] is its side.
package targets
