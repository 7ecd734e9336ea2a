#include "compiler/baseline/x64/machine.h"

namespace wafer::compiler {

void Machine::set_cond(uint8_t dst, Cond cond) {
  const auto low = x86::gpb_lo(dst);
  if (cond == Cond::FloatEqual || cond == Cond::FloatNotEqual) {
    const auto other = x86::gpb_lo(kScratch);
    if (cond == Cond::FloatEqual) {
      setnp(other);
      sete(low);
      and_(low, other);
    } else {
      setp(other);
      setne(low);
      or_(low, other);
    }
  } else {
    static constexpr InstId kSet[] = {Inst::kIdSeto, Inst::kIdSetno, Inst::kIdSetb,  Inst::kIdSetae,
                                      Inst::kIdSete, Inst::kIdSetne, Inst::kIdSetbe, Inst::kIdSeta,
                                      Inst::kIdSets, Inst::kIdSetns, Inst::kIdSetp,  Inst::kIdSetnp,
                                      Inst::kIdSetl, Inst::kIdSetge, Inst::kIdSetle, Inst::kIdSetg};
    emit(kSet[uint8_t(cond)], low);
  }
  movzx(gp(dst, false), low);
}

InstId Machine::three_operands(InstId inst) const {
  if (!has_avx) return Inst::kIdNone;
  switch (inst) {
#define WAFER_FORM(NAME, LOWER) \
  case Inst::kId##NAME:         \
    return Inst::kIdV##LOWER;
    WAFER_FORM(Addss, addss)
    WAFER_FORM(Subss, subss)
    WAFER_FORM(Mulss, mulss)
    WAFER_FORM(Divss, divss)
    WAFER_FORM(Addsd, addsd)
    WAFER_FORM(Subsd, subsd)
    WAFER_FORM(Mulsd, mulsd)
    WAFER_FORM(Divsd, divsd)
    WAFER_FORM(Addps, addps)
    WAFER_FORM(Subps, subps)
    WAFER_FORM(Mulps, mulps)
    WAFER_FORM(Divps, divps)
    WAFER_FORM(Addpd, addpd)
    WAFER_FORM(Subpd, subpd)
    WAFER_FORM(Mulpd, mulpd)
    WAFER_FORM(Divpd, divpd)
    WAFER_FORM(Minps, minps)
    WAFER_FORM(Maxps, maxps)
    WAFER_FORM(Minpd, minpd)
    WAFER_FORM(Maxpd, maxpd)
    WAFER_FORM(Pand, pand)
    WAFER_FORM(Pandn, pandn)
    WAFER_FORM(Por, por)
    WAFER_FORM(Pxor, pxor)
    WAFER_FORM(Packsswb, packsswb)
    WAFER_FORM(Packuswb, packuswb)
    WAFER_FORM(Packssdw, packssdw)
    WAFER_FORM(Packusdw, packusdw)
    WAFER_FORM(Paddb, paddb)
    WAFER_FORM(Paddw, paddw)
    WAFER_FORM(Paddd, paddd)
    WAFER_FORM(Paddq, paddq)
    WAFER_FORM(Paddsb, paddsb)
    WAFER_FORM(Paddsw, paddsw)
    WAFER_FORM(Paddusb, paddusb)
    WAFER_FORM(Paddusw, paddusw)
    WAFER_FORM(Psubb, psubb)
    WAFER_FORM(Psubw, psubw)
    WAFER_FORM(Psubd, psubd)
    WAFER_FORM(Psubq, psubq)
    WAFER_FORM(Psubsb, psubsb)
    WAFER_FORM(Psubsw, psubsw)
    WAFER_FORM(Psubusb, psubusb)
    WAFER_FORM(Psubusw, psubusw)
    WAFER_FORM(Pminsb, pminsb)
    WAFER_FORM(Pminsw, pminsw)
    WAFER_FORM(Pminsd, pminsd)
    WAFER_FORM(Pminub, pminub)
    WAFER_FORM(Pminuw, pminuw)
    WAFER_FORM(Pminud, pminud)
    WAFER_FORM(Pmaxsb, pmaxsb)
    WAFER_FORM(Pmaxsw, pmaxsw)
    WAFER_FORM(Pmaxsd, pmaxsd)
    WAFER_FORM(Pmaxub, pmaxub)
    WAFER_FORM(Pmaxuw, pmaxuw)
    WAFER_FORM(Pmaxud, pmaxud)
    WAFER_FORM(Pavgb, pavgb)
    WAFER_FORM(Pavgw, pavgw)
    WAFER_FORM(Pmullw, pmullw)
    WAFER_FORM(Pmulld, pmulld)
    WAFER_FORM(Pmaddwd, pmaddwd)
    WAFER_FORM(Pcmpeqb, pcmpeqb)
    WAFER_FORM(Pcmpeqw, pcmpeqw)
    WAFER_FORM(Pcmpeqd, pcmpeqd)
    WAFER_FORM(Pcmpeqq, pcmpeqq)
    WAFER_FORM(Pcmpgtb, pcmpgtb)
    WAFER_FORM(Pcmpgtw, pcmpgtw)
    WAFER_FORM(Pcmpgtd, pcmpgtd)
    WAFER_FORM(Pcmpgtq, pcmpgtq)
    WAFER_FORM(Psllw, psllw)
    WAFER_FORM(Pslld, pslld)
    WAFER_FORM(Psllq, psllq)
    WAFER_FORM(Psrlw, psrlw)
    WAFER_FORM(Psrld, psrld)
    WAFER_FORM(Psrlq, psrlq)
    WAFER_FORM(Psraw, psraw)
    WAFER_FORM(Psrad, psrad)
#undef WAFER_FORM
    default:
      return Inst::kIdNone;
  }
}

void Machine::branch(Cond cond, const Label& to) {
  static constexpr InstId kJump[] = {Inst::kIdJo, Inst::kIdJno, Inst::kIdJb,  Inst::kIdJae,
                                     Inst::kIdJe, Inst::kIdJne, Inst::kIdJbe, Inst::kIdJa,
                                     Inst::kIdJs, Inst::kIdJns, Inst::kIdJp,  Inst::kIdJnp,
                                     Inst::kIdJl, Inst::kIdJge, Inst::kIdJle, Inst::kIdJg};
  if (cond == Cond::FloatEqual) {
    const Label skip = newLabel();
    short_().jp(skip);
    je(to);
    bind(skip);
  } else if (cond == Cond::FloatNotEqual) {
    jp(to);
    jne(to);
  } else {
    emit(kJump[uint8_t(cond)], to);
  }
}

}  // namespace wafer::compiler
