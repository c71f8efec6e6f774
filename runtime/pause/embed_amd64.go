package pause

import _ "embed"

//go:embed program/pause-amd64
var program string
