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

// Package e2e sets up a small cluster in network namespaces of one machine: a node with a control
// plane and a kube-proxy, Pods on it (the operator, clients), and hosts outside, each with its own
// subnet. It breaks them in every way that the operator promises to survive, and counts what
// clients notice. `make test-e2e` runs it; docs/e2e.md explains it.
//
// Everything happens inside the namespaces, whose names begin with the process' number: no
// packet leaves them, and nothing else on the machine is changed.
package e2e
