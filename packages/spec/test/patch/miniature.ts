/** A specification of a few lines, all ours: it has the places that the patches hang on, and no more. */
import type { SourceTree } from "@virtio-admin/spec";
import { treeOf } from "../specification.ts";

const OPTIONS = "Virtio Transport Options";
const MMIO = `${OPTIONS} / Virtio Over MMIO`;
const CCW = `${OPTIONS} / Virtio over channel I/O`;
const FACILITIES = "Basic Facilities of a Virtio Device";
const COMMANDS = `${FACILITIES} / Device groups / Group administration commands`;
const QUEUES = `${FACILITIES} / Administration virtqueues`;

function clause(title: string, label: string, listed: string): string {
  return `\\conformance{${title}}\\label{sec:Conformance / ${label}}

It is conformant with:
\\begin{itemize}
\\item \\ref{${listed}}
\\end{itemize}
`;
}

const CONFORMANCE = ["Driver", "Device"]
  .map((Side) => {
    const side = `${Side.toLowerCase()}normative:`;
    const outer = `${Side} Conformance`;
    return [
      clause(`\\section}{${outer}`, outer, `${side}${COMMANDS} / Device parts`),
      clause(`\\subsection}{MMIO ${outer}`, `${outer} / MMIO ${outer}`, `${side}${MMIO}`),
      clause(`\\subsection}{Channel ${outer}`, `${outer} / Channel I/O ${outer}`, `${side}${CCW}`),
    ].join("\n");
  })
  .join("\n");

const ADMIN = `\\chapter{Facilities}
\\section{Groups}
\\subsection{Commands}
\\devicenormative{\\subsubsection}{Commands}{${COMMANDS}}
Words.
\\drivernormative{\\subsubsection}{Commands}{${COMMANDS}}
Words.
\\section{Administration Virtqueues}\\label{sec:${FACILITIES} / Administration Virtqueues}
\\devicenormative{\\subsection}{Queues}{${QUEUES}}
Words.
\\drivernormative{\\subsection}{Queues}{${QUEUES}}
Words.
\\subsection{Parts}
\\devicenormative{\\subsubsection}{Parts}{${COMMANDS} / Device parts}
\\drivernormative{\\subsubsection}{Parts}{${COMMANDS} / Device parts}
`;

const CONTENT = `\\input{admin.tex}
\\chapter{Transports}
\\input{transport-pci.tex}
\\input{transport-mmio.tex}
\\input{transport-ccw.tex}
\\chapter{Bits}\\label{sec:Reserved Feature Bits}
\\begin{description}
  \\item[VIRTIO_F_RING_RESET (40)] A bit.

  \\item[VIRTIO_F_ADMIN_VQ (41)] Another bit,
  with words that go away,
\tand some more.

  \\item[VIRTIO_F_SUSPEND (43)] A third bit.
\\end{description}
`;

const PCI = `\\section{PCI}
\\subsection{Structure}\\label{sec:${OPTIONS} / Virtio Over PCI Bus / PCI Device Layout / Common configuration structure layout}
`;

const REGISTERS = `\\section{MMIO}\\label{sec:${MMIO}}
\\subsection{Registers}\\label{sec:${MMIO} / MMIO Device Register Layout}

\\begin{longtable}{ll}
  \\mmioreg{QueueReset}{Reset}{0x0c0}{RW}{Words.}
  \\hline
  \\mmioreg{ConfigGeneration}{Generation}{0x0fc}{R}{
    Words.
  }
  \\hline
\\end{longtable}

\\devicenormative{\\subsubsection}{Registers}{${MMIO}}
\\drivernormative{\\subsubsection}{Registers}{${MMIO}}

\\subsection{Operation}\\label{sec:${MMIO} / MMIO-specific Initialization And Device Operation}

Words.

\\subsection{Legacy interface}

Words.

\\subsection{Reserved}\\label{sec:${MMIO} / Features reserved for future use}

Words:
\\begin{itemize}
\\item VIRTIO_F_ADMIN_VQ
\\end{itemize}

Words.`;

const CHANNEL = `\\section{Channel}
\\devicenormative{\\subsection}{Channel}{${CCW}}
\\drivernormative{\\subsection}{Channel}{${CCW}}
\\subsection{Commands}\\label{sec:${CCW} / Basic Concepts/ Channel Commands for Virtio}
\\begin{lstlisting}
#define CCW_CMD_SET_VQ 0x13
#define CCW_CMD_SET_IND 0x43
#define CCW_CMD_READ_STATUS 0x72
\\end{lstlisting}
\\subsection{Initialization}
\\subsubsection{Revision}\\label{sec:${CCW} / Device Initialization / Setting the Virtio Revision}
\\begin{tabular}{ |l|l|l|l| }
\\hline
\\field{revision} & \\field{length} & \\field{data} & remarks \\\\
\\hline
2     & 0   & <empty> & words \\\\
\\hline
3-n   &     &         & words \\\\
\\hline
\\end{tabular}
\\subsubsection{Configuring}\\label{sec:${CCW} / Device Initialization / Configuring a Virtqueue}
The size is in \\field{max_queue_size},
in words.

More words.
\\devicenormative{\\paragraph}{Configuring}{${CCW} / Device Initialization / Configuring a Virtqueue}
Words.
\\subsubsection{Status}
\\subsection{Reserved}\\label{sec:${CCW} / Features reserved for future use}
\\begin{itemize}
\\item VIRTIO_F_ADMIN_VQ
\\item VIRTIO_F_RING_RESET
\\end{itemize}
`;

/** The miniature, a new one each time. */
export function miniature(): SourceTree {
  return treeOf({
    "conformance.tex": CONFORMANCE,
    "admin.tex": ADMIN,
    "content.tex": CONTENT,
    "newtransport.tex": "\\chapter{New}\\label{sec:Creating New Transports}\n\nWords.\n",
    "transport-pci.tex": PCI,
    // This one's last line has no end.
    "transport-mmio.tex": REGISTERS,
    "transport-ccw.tex": CHANNEL,
  });
}
