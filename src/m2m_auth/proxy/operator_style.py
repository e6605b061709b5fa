"""The operator page's style sheet: light and dark; a table on a wide screen, a card per vendor on a narrow one."""

from __future__ import annotations

__all__ = ["STYLE"]

STYLE = """
:root{color-scheme:light dark;--ink:#1c2127;--mute:#5b6570;--line:#d5dbe1;--ground:#fff;--track:#e6eaee;
--asked:#6b7683;--served:#23824f;--minted:#b86e00;--refused:#c2341d;--link:#1f5fbf}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ec;--mute:#9aa5b1;--line:#3a424b;--ground:#15191d;--track:#2b323a;
--asked:#97a3b0;--served:#46b17b;--minted:#e09a2b;--refused:#f0705a;--link:#7fb0f5}}
*{box-sizing:border-box}
body{font:16px/1.45 system-ui,sans-serif;color:var(--ink);background:var(--ground);margin:0 auto;padding:1.25rem;
max-width:80rem}
header{display:flex;flex-wrap:wrap;gap:.5rem 1rem;align-items:baseline;justify-content:space-between}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:0 0 .6rem}
p{margin:.4rem 0 1rem}.mute,small{color:var(--mute)}small{font-size:.82rem}
button,input{font:inherit;color:inherit;background:var(--ground);border:1px solid var(--mute);border-radius:.35rem;
padding:.35rem .8rem;max-width:100%}
button{cursor:pointer}:focus-visible{outline:2px solid var(--link);outline-offset:2px}
table{width:100%;border-collapse:collapse}
th,td{padding:.55rem .6rem;text-align:right;vertical-align:top;font-weight:normal;border-top:1px solid var(--line);
font-variant-numeric:tabular-nums}
thead th{border:0;color:var(--mute);font-size:.82rem;white-space:nowrap}
th:first-child{text-align:left;padding-left:0;overflow-wrap:anywhere;min-width:9rem}
td:last-child,thead th:last-child{text-align:left;width:36%;padding-right:0}
tbody th{font-weight:600}td small,th small{display:block;font-weight:normal}
td:not(:last-child) small{white-space:nowrap}
.bar{display:block;width:100%;height:.7rem;margin:.35rem 0 .25rem}
.track{fill:var(--track)}.used{fill:var(--served)}.tight .used{fill:var(--minted)}.over .used{fill:var(--refused)}
.ahead{fill-opacity:.45}
.flag{display:inline-block;font-size:.82rem;font-weight:600;border-left:.25rem solid;padding-left:.4rem}
.tight .flag{border-color:var(--minted)}.over .flag{border-color:var(--refused)}
.login{max-width:24rem;margin:12vh auto 0}.login form{display:grid;gap:.6rem}.login [role=alert]{font-weight:600}
@media(max-width:44rem){
table,tbody,tr,th,td{display:block;width:auto}thead{display:none}
tbody tr{display:grid;grid-template-columns:1fr 1fr;gap:.6rem 1rem;border:1px solid var(--line);border-radius:.5rem;
padding:.75rem 1rem;margin-bottom:.8rem}
th,td,td:last-child{border:0;padding:0;text-align:left;width:auto}
th,td:last-child{grid-column:1/-1}
td::before{content:attr(data-label);display:block;font-size:.82rem;color:var(--mute)}
}
"""
