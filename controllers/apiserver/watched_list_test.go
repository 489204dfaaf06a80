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

package apiserver

import (
	"slices"
	"strings"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// A list calls its follower for changes of the fields that it reads, and for nothing else.
func listedSlice(name string, addresses ...string) *discoveryv1.EndpointSlice {
	slice := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "integration", Name: name}}
	for _, address := range addresses {
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{address}})
	}
	return slice
}

// addressesOf keeps only the endpoints of a slice.
func addressesOf(object any) client.Object {
	slice := object.(*discoveryv1.EndpointSlice)
	return &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: slice.Namespace, Name: slice.Name}, Endpoints: slice.Endpoints}
}

func TestWatchedList_Changes_AreReported(t *testing.T) {
	named := func(namespace, name string, version string, addresses ...string) *discoveryv1.EndpointSlice {
		slice := listedSlice(name, addresses...)
		slice.ObjectMeta = metav1.ObjectMeta{Namespace: namespace, Name: name, ResourceVersion: version}
		return slice
	}
	var changed []string
	list := NewWatchedList(addressesOf, func(namespace string) { changed = append(changed, namespace) })
	steps := []struct {
		name string
		do   func() error
		want string
	}{
		{"the first answer", func() error { return list.Replace(nil, "1") }, `""`},
		{"an object", func() error { return list.Add(named("a", "x", "2", "10.0.0.1")) }, `"a"`},
		{"the same object", func() error { return list.Add(named("a", "x", "3", "10.0.0.1")) }, ``},
		{"another address", func() error { return list.Update(named("a", "x", "4", "10.0.0.2")) }, `"a"`},
		{"nothing of interest", func() error { return list.Update(named("a", "x", "5", "10.0.0.2")) }, ``},
		{"a list that is no news", func() error { return list.Replace([]any{named("a", "x", "6", "10.0.0.2")}, "6") }, ``},
		{"a list with others", func() error {
			return list.Replace([]any{named("a", "x", "7", "10.0.0.3"), named("b", "y", "7")}, "7")
		}, `"a" "b"`},
		{"an object that goes", func() error { return list.Delete(named("b", "y", "8")) }, `"b"`},
		{"the kind that goes", func() error { list.replace(nil, Absent); return nil }, `"" "a"`},
		{"it stays away", func() error { list.replace(nil, Absent); return nil }, ``},
		{"the kind that comes back", func() error { return list.Replace(nil, "9") }, `""`},
	}
	for _, step := range steps {
		changed = nil
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		slices.Sort(changed)
		quoted := ""
		if changed != nil {
			quoted = `"` + strings.Join(changed, `" "`) + `"`
		}
		if quoted != step.want {
			t.Errorf("%s: %s changed, want %s", step.name, quoted, step.want)
		}
	}
}

func TestWatchedList_All_ReturnsTheNamespace(t *testing.T) {
	list := NewWatchedList(addressesOf, func(string) {})
	names := func() (keys []string, state WatchState) {
		objects, state := list.All("integration")
		for _, object := range objects {
			keys = append(keys, client.ObjectKeyFromObject(object).String())
		}
		slices.Sort(keys)
		return keys, state
	}
	if keys, state := names(); keys != nil || state != Unknown {
		t.Errorf("before the first answer: %v in state %v", keys, state)
	}
	elsewhere := listedSlice("z")
	elsewhere.Namespace = "elsewhere"
	if err := list.Replace([]any{listedSlice("x"), listedSlice("y"), elsewhere}, "1"); err != nil {
		t.Fatal(err)
	}
	if keys, state := names(); !slices.Equal(keys, []string{"integration/x", "integration/y"}) || state != Present {
		t.Errorf("%v in state %v", keys, state)
	}
}
