package api

// Routes returns method and pattern of every route of a server.
func Routes(s *Server) []string {
	var routes []string
	for _, r := range s.engine.Routes() {
		routes = append(routes, r.Method+" "+r.Path)
	}
	return routes
}

// PagePaths returns the paths of the web page.
func PagePaths() []string { return pagePaths() }

// ParseETags reads a list of entity tags.
func ParseETags(list string) (matchAny bool, strong, weak map[string]bool, ok bool) {
	e, ok := parseETags(list)
	return e.any, e.strong, e.weak, ok
}
