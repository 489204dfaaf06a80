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

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// Before 1.36, Kubernetes took ranges with any bits set.
func TestRangesOfANode(t *testing.T) {
	node := &corev1.Node{
		Spec: corev1.NodeSpec{PodCIDR: "198.51.100.1/26", PodCIDRs: []string{"198.51.100.1/26", "2001:db8::1/64"}},
		Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeHostName, Address: "node.example"}, {Type: corev1.NodeInternalIP, Address: "203.0.113.9"},
		}},
	}
	want := "[{198.51.100.0/26 a Pod of this cluster} {2001:db8::/64 a Pod of this cluster} {203.0.113.9/32 a node of this cluster}]"
	if got := fmt.Sprint(rangesOf(node)); got != want {
		t.Errorf("the ranges are %s, want %s", got, want)
	}
}
