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

package controllers_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
)

// right is a verb and a resource such as endpointslices.discovery.k8s.io.
type right struct{ verb, resource string }

func (r right) String() string { return r.verb + " " + r.resource }

// rules are those of a role, each as verbs by resource.
func rules(of []rbacv1.PolicyRule) map[string][]string {
	verbs := map[string][]string{}
	for _, rule := range of {
		for _, path := range rule.NonResourceURLs {
			verbs[path] = append(verbs[path], rule.Verbs...)
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				name := qualified(group, resource)
				verbs[name] = append(verbs[name], rule.Verbs...)
			}
		}
	}
	return verbs
}

func qualified(group, resource string) string {
	resource, subresource, isSub := strings.Cut(resource, "/")
	name := schema.GroupResource{Group: group, Resource: resource}.String()
	if isSub {
		name += "/" + subresource
	}
	return name
}

// granted are all rules of all roles, in order.
func granted(among manifests) []string {
	GinkgoHelper()
	var lines []string
	list := func(kind, name string, of []rbacv1.PolicyRule) {
		for resource, verbs := range rules(of) {
			lines = append(lines, fmt.Sprintf("%s %s: %s %s", kind, name, strings.Join(slices.Sorted(slices.Values(verbs)), ","), resource))
		}
	}
	for _, role := range ofKind[rbacv1.ClusterRole](among, "ClusterRole") {
		list("ClusterRole", role.Name, role.Rules)
	}
	for _, role := range ofKind[rbacv1.Role](among, "Role") {
		list("Role", role.Name, role.Rules)
	}
	slices.Sort(lines)
	return lines
}

// usedRights records which rights a client makes use of.
type usedRights struct {
	// mu guards the rest. No I/O happens under it.
	mu        sync.Mutex
	used      map[right]bool
	forbidden []string
}

func (u *usedRights) of(config *rest.Config) *rest.Config {
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			u.need(request) // before anybody can see what it did
			response, err := next.RoundTrip(request)
			if err == nil {
				u.answered(request, response.StatusCode)
			}
			return response, err
		})
	})
	return config
}

func (u *usedRights) need(request *http.Request) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if needed, ok := rightFor(request); ok {
		if u.used == nil {
			u.used = map[right]bool{}
		}
		u.used[needed] = true
	}
}

func (u *usedRights) answered(request *http.Request, status int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if status == http.StatusForbidden || status == http.StatusUnauthorized {
		u.forbidden = append(u.forbidden, request.Method+" "+request.URL.Path)
	}
}

func (u *usedRights) refused() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.forbidden)
}

// unused returns the rights that are granted to the operator's ServiceAccount and that it did not
// use. A watch includes get and list.
func (u *usedRights) unused(among manifests) []string {
	GinkgoHelper()
	u.mu.Lock()
	defer u.mu.Unlock()
	all := map[string][]string{}
	for _, role := range ofKind[rbacv1.ClusterRole](among, "ClusterRole") {
		if role.Name == "farpoint-manager-role" {
			maps.Copy(all, rules(role.Rules))
		}
	}
	for _, role := range ofKind[rbacv1.Role](among, "Role") {
		maps.Copy(all, rules(role.Rules))
	}
	var unused []string
	for resource, verbs := range all {
		for _, verb := range verbs {
			seen := (verb == "get" || verb == "list") && u.used[right{"watch", resource}]
			if !seen && !u.used[right{verb, resource}] {
				unused = append(unused, right{verb, resource}.String())
			}
		}
	}
	return unused
}

// rightFor is what a request to the API server needs; false for one that is about no
// resource, as discovery is.
func rightFor(request *http.Request) (right, bool) {
	parts := strings.Split(strings.Trim(request.URL.Path, "/"), "/")
	group := ""
	switch {
	case len(parts) > 2 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		group, parts = parts[1], parts[3:]
	default:
		return right{}, false
	}
	if len(parts) > 2 && parts[0] == "namespaces" {
		parts = parts[2:]
	}
	resource := parts[0]
	if len(parts) > 2 {
		resource += "/" + parts[2]
	}
	return right{verbOf(request, len(parts) > 1), qualified(group, resource)}, true
}

func verbOf(request *http.Request, named bool) string {
	switch {
	case request.Method == http.MethodGet && request.URL.Query().Get("watch") != "":
		return "watch"
	case request.Method == http.MethodGet && !named:
		return "list"
	case request.Method == http.MethodDelete && !named:
		return "deletecollection"
	}
	return map[string]string{
		http.MethodGet: "get", http.MethodPost: "create", http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete",
	}[request.Method]
}
