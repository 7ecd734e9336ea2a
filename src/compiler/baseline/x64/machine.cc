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
