"""Mail that tries all it can when a browser shows it: to run, to fetch, to cover, to lead away."""

from __future__ import annotations

from email.message import EmailMessage
from typing import Final

HTML: Final = """<!doctype html><html><head><base href="http://{host}/beacon-base/">
<meta http-equiv="refresh" content="0;url=http://{host}/beacon-refresh">
<link rel="stylesheet" href="http://{host}/beacon-link.css"><link rel="preload" as="image" href="http://{host}/beacon-pre">
<link rel="dns-prefetch" href="//{host}/"><link rel="prefetch" href="http://{host}/beacon-prefetch">
<style>@import "http://{host}/beacon-import.css"; body{{background:url(http://{host}/beacon-css)}}
.cover{{position:fixed;inset:0;background:red;z-index:99999}}
@font-face{{font-family:x;src:url(http://{host}/beacon-font)}}
</style><script>document.title='ran';new Image().src='http://{host}/beacon-script'</script>
<script src="http://{host}/beacon-src.js"></script></head>
<body onload="document.title='ran'" background="http://{host}/beacon-body" id="words" class="cover">
<p>Readable words &amp; an <b>invoice</b> \u202e\u2066</p>
<img src="http://{host}/beacon-img" srcset="http://{host}/beacon-set 2x" onerror="document.title='ran'" alt="a picture">
<img src="https://tracker.example/beacon-tracker"><img src=" http://{host}/beacon-blank" lowsrc="http://{host}/beacon-low">
<picture><source srcset="http://{host}/beacon-source"><img src="//{host}/beacon-scheme"></picture>
<img src="cid:logo@x" width="40"><img src="cid:evil@x"><img src="data:image/svg+xml,<svg onload=alert(1)>">
<img src="file:///etc/passwd"><img src="messages.js">
<div style="position:fixed;inset:0;background:url(http://{host}/beacon-style)" class="cover">overlay</div>
<table background="http://{host}/beacon-table"><tr><td style="background-image:url('http://{host}/beacon-td')"
 background="http://{host}/beacon-td2">cell</td></tr></table>
<iframe src="http://{host}/beacon-frame" srcdoc="<script>top.document.title='ran'</script>"></iframe>
<object data="http://{host}/beacon-object"></object><embed src="http://{host}/beacon-embed">
<form action="http://{host}/beacon-form"><input name="password" autofocus onfocus="document.title='ran'"><button>Go
</button></form>
<script>document.forms[0] && document.forms[0].submit()</script>
<svg onload="document.title='ran'"><image href="http://{host}/beacon-svg"/><script>document.title='ran'</script>
<use href="http://{host}/beacon-use#x"/><animate onbegin="document.title='ran'" attributeName="x"/></svg>
<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=document.title='ran'&gt;">
</table></math>
<noscript><p title="</noscript><img src=x onerror=document.title='ran'>"></noscript>
<video src="http://{host}/beacon-video" poster="http://{host}/beacon-poster" autoplay></video>
<audio src="http://{host}/beacon-audio" autoplay></audio><track src="http://{host}/beacon-trackel">
<a href="javascript:document.title='ran'">script link</a> <a href="java&#10;script:document.title='ran'">split link</a>
<a href="data:text/html,<script>1</script>">data link</a> <a href="file:///etc/passwd">file link</a>
<a href="//{host}/beacon-unc">bare link</a> <a href="../../index.html">near link</a>
<a href="https://example.org/good" ping="http://{host}/beacon-ping" onclick="1">good link</a>
<details open ontoggle="document.title='ran'"><summary>x</summary></details>
<marquee onstart="document.title='ran'">x</marquee>
<input type=image src="http://{host}/beacon-input"><template><img src="http://{host}/beacon-template"></template>
<dialog open>dialog</dialog><portal src="http://{host}/beacon-portal"></portal><plaintext>the end"""

PLAIN: Final = """<!doctype html><script>document.title='ran';new Image().src='http://{host}/beacon-script'</script>
<img src="http://{host}/beacon-img"><div style="background:url(http://{host}/beacon-css)">x</div>
<img src="http://tracker.example/beacon-name"><iframe src="http://{host}/beacon-frame"></iframe>"""

PNG: Final = bytes.fromhex(
    "89504e470d0a1a0a0000000d494844520000000100000001080600000"
    "01f15c4890000000d49444154789c63f8cfc0f01f0005000201e221bc330000000049454e44ae426082"
)

SUBJECT: Final = "</title><script>document.title='ran'</script>\"'><img src=x onerror=document.title='ran'> invoice"


def message(host: str) -> bytes:
    """Write a message that tries everything; it asks the listener at `host` for paths that begin with `beacon`."""
    made = EmailMessage()
    made["From"] = "\"<img src=x onerror=document.title='ran'>\" <a@example.org>"
    made["To"] = "<script>document.title='ran'</script>@example.org"
    made["Subject"] = SUBJECT
    made.set_content("plain </pre><script>document.title='ran'</script> words")
    made.add_alternative(HTML.format(host=host), subtype="html")
    html = made.get_payload()[1]  # type: ignore[index] # a list of parts
    html.add_related(PNG, "image", "png", cid="<logo@x>", filename="../../logo.png")  # type: ignore[union-attr]
    html.add_related(  # type: ignore[union-attr]
        f'<svg xmlns="http://www.w3.org/2000/svg"><image href="http://{host}/beacon-cid"/></svg>'.encode(),
        "image",
        "svg+xml",
        cid="<evil@x>",
        filename="evil.svg",
    )
    made.add_attachment("<script>document.title='ran'</script>", subtype="html", filename="../../open me.html")
    made.add_attachment(b"MZ", "application", "octet-stream", filename="'\"><script>x</script>.exe")
    return made.as_bytes()
