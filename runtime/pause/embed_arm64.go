package pause

import _ "embed"

//go:embed program/pause-arm64
var program string
