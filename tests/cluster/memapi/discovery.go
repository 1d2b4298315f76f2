package main

import (
	"net/http"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// discover answers what is served: at /api and /apis, and for each version of a group.
func (s *server) discover(w http.ResponseWriter, parts []string) error {
	switch {
	case parts[0] == "api" && len(parts) == 1:
		answer(w, http.StatusOK, metav1.APIVersions{
			TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{"v1"},
		})
		return nil
	case parts[0] == "api":
		return s.resources(w, schema.GroupVersion{Version: parts[1]})
	case len(parts) == 3:
		return s.resources(w, schema.GroupVersion{Group: parts[1], Version: parts[2]})
	case len(parts) == 2:
		return notServed("the document of a single group")
	}
	groups := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
	told := map[string]bool{}
	for _, each := range append(s.order, reviewKind()) {
		version := each.GroupVersion()
		if version.Group == "" || told[version.Group] {
			continue
		}
		told[version.Group] = true
		only := metav1.GroupVersionForDiscovery{GroupVersion: version.String(), Version: version.Version}
		groups.Groups = append(groups.Groups, metav1.APIGroup{
			Name: version.Group, Versions: []metav1.GroupVersionForDiscovery{only}, PreferredVersion: only,
		})
	}
	answer(w, http.StatusOK, groups)
	return nil
}

func (s *server) resources(w http.ResponseWriter, version schema.GroupVersion) error {
	found := metav1.APIResourceList{
		TypeMeta:     metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"},
		GroupVersion: version.String(),
	}
	for _, each := range append(s.order, reviewKind()) {
		if each.GroupVersion() != version {
			continue
		}
		resource := each.APIResource
		found.APIResources = append(found.APIResources, resource)
		if each.hasStatus {
			found.APIResources = append(found.APIResources, metav1.APIResource{
				Name: resource.Name + "/status", Kind: resource.Kind, Namespaced: resource.Namespaced,
				Verbs: metav1.Verbs{"get", "patch", "update"},
			})
		}
	}
	if len(found.APIResources) == 0 {
		return notServed(version.String())
	}
	answer(w, http.StatusOK, found)
	return nil
}

func reviewKind() *kind {
	made := &kind{GroupVersionKind: authorizationv1.SchemeGroupVersion.WithKind("SelfSubjectAccessReview")}
	made.APIResource = metav1.APIResource{
		Name: reviews, SingularName: "selfsubjectaccessreview", Kind: made.GroupVersionKind.Kind,
		Verbs: metav1.Verbs{"create"},
	}
	return made
}
